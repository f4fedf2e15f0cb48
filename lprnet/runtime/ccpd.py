"""File names of the Chinese City Parking Dataset, which hold a plate as indices.

Xu et al., "Towards End-to-End License Plate Detection and Recognition: A Large Dataset and
Baseline", ECCV 2018; https://github.com/detectRecog/CCPD documents the form. A name has seven
fields between `-`: area, tilt, box, corners, plate, brightness, blur. The plate is one index into
provinces, one into letters, and five (new-energy plates: six) into letters and digits.
"""

import re

_PROVINCES = "皖沪津渝冀晋蒙辽吉黑苏浙京闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新警学O"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_SERIAL = _LETTERS + "0123456789O"
"""An `O` stands for no character."""
_BOX = re.compile(r"\d+&\d+_\d+&\d+")
_PLATE = re.compile(r"\d+(_\d+){6,7}")


def ccpd_plate(stem: str) -> str | None:
    """The plate in the file name `stem`; None if it has not the form of CCPD.

    An index without a character becomes `?`.
    """
    fields = stem.split("-")
    if len(fields) < 5 or not _BOX.fullmatch(fields[2]) or not _PLATE.fullmatch(fields[4]):
        return None
    lists = (_PROVINCES, _LETTERS + "O", *[_SERIAL] * 6)
    indices = map(int, fields[4].split("_"))
    return "".join(
        names[index] if index < len(names) else "?"
        for names, index in zip(lists, indices, strict=False)
    )
