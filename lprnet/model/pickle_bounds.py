"""What a pickle comes to, counted before it is loaded.

PyTorch loads no code (`weights_only`), but some hundred bytes that it accepts take hours or all
memory: tuples of tuples, each twice in the next, of which a dictionary takes the hash, or a
`bytearray` of any length. So the opcodes are read first, each value on the stack as a number: of
how many values it consists.
"""

import pickletools
from typing import IO

MAX_VALUES = 300_000
"""A state dict of LPRNet has three thousand, a log of a training run a number each."""
REFUSED = "bytearray"
"""Of all functions that PyTorch lets a pickle call, the one that fills as much memory as it is
told to; a state dict has none."""
PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
GET = frozenset({"GET", "BINGET", "LONG_BINGET"})
_MARK = -1


def check_pickle(file: IO[bytes]) -> None:
    """Read the pickle that begins where `file` is, up to its end. Loads nothing.

    Raises `ValueError` for one that unfolds to over `MAX_VALUES` values, and that or `IndexError`
    or `KeyError` for one that is damaged.
    """
    stack: list[int] = []
    memo: dict[object, int] = {}
    count = 0
    for opcode, argument, _ in pickletools.genops(file):
        count += 1
        name = opcode.name
        if name == "GLOBAL" and str(argument).split()[-1:] == [REFUSED]:
            raise ValueError(f"a pickle makes a {REFUSED}")
        if name in PUT:
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in GET:
            stack.append(memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        else:
            values = 1 + sum(_taken(stack, opcode))
            count = max(count, values)
            stack += [values] * len(opcode.stack_after)
        if count > MAX_VALUES:
            raise ValueError(f"a pickle has over {MAX_VALUES:,} values")


def _taken(stack: list[int], opcode: pickletools.OpcodeInfo) -> list[int]:
    """What `opcode` takes from the stack."""
    before = opcode.stack_before
    taken: list[int] = []
    wanted = len(before)
    if pickletools.markobject in before:
        wanted = before.index(pickletools.markobject)
        while (value := stack.pop()) != _MARK:
            taken.append(value)
    for _ in range(wanted):
        taken.append(stack.pop())
    return taken
