"""The 68 classes of LPRNet's output, in the order of the public checkpoint's last layer.

Index 67 is the CTC blank. `I` and `O` are classes of the checkpoint although mainland serials
never use them; `decode.py`'s grammar is what rules them out.
"""

PROVINCES: tuple[str, ...] = tuple("京沪津渝冀晋蒙辽吉黑苏浙皖闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新")
DIGITS: tuple[str, ...] = tuple("0123456789")
LETTERS: tuple[str, ...] = tuple("ABCDEFGHJKLMNPQRSTUVWXYZ")
"""The 24 letters of a serial: no I and no O."""

ALPHABET: tuple[str, ...] = (*PROVINCES, *DIGITS, *LETTERS, "I", "O", "-")
CLASSES = len(ALPHABET)
BLANK = CLASSES - 1
INDEX: dict[str, int] = {character: index for index, character in enumerate(ALPHABET)}
