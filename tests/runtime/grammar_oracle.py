"""The exact search against everything that it could have found.

    python -m tests.runtime.grammar_oracle --lattices 10000
    python -m tests.runtime.grammar_oracle --artifact build/lprnet-int8-native.so --images DIR
    python -m tests.runtime.grammar_oracle --artifact build/lprnet-int8-native.so --rendered 10000

The first compares it with all paths of random lattices, the others with a beam of 256. The exit
code is 1 where it found less.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from lprnet.runtime import allowed_texts
from lprnet.runtime.alphabet import CHINA
from lprnet.runtime.ctc import Floats, prefix_beam_search, softmax
from lprnet.runtime.grammar import Automaton, compile_grammar
from lprnet.runtime.grammar_search import best_allowed, suffixes
from lprnet.runtime.lattice import label_probability
from lprnet.runtime.plate_grammar import GRAMMAR
from lprnet.runtime.texts import Labels

GRAMMARS = (
    "ab?c",
    "a*b",
    "[ab]{2}",
    "(?:ab|c)+",
    "aa|bb|c",
    "[abcd]{1,3}",
    "a(?:bb?a|d)*",
    "aa",
    "(?:ba)?",
)
CHARACTERS = ("a", "b", "c", "d")
BEAM = 256
CHINA_PLATES = compile_grammar(GRAMMAR, CHINA.characters)


@cache
def paths(classes: int, positions: int) -> tuple[NDArray[np.intp], NDArray[np.intp], list[Labels]]:
    """All paths `(P, T)`, which text each spells `(P,)`, and the texts."""
    blank = classes - 1
    every = list(itertools.product(range(classes), repeat=positions))
    texts = [
        tuple(c for i, c in enumerate(path) if c != blank and (i == 0 or path[i - 1] != c))
        for path in every
    ]
    index = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return np.array(every), np.array([index[text] for text in texts]), list(index)


def enumerated(p: Floats, automaton: Automaton) -> list[tuple[float, Labels]]:
    """Every allowed text of `p` `(C, T)` with its probability, best first."""
    classes, positions = p.shape
    every, numbers, texts = paths(classes, positions)
    probability = np.bincount(numbers, np.prod(p[every, np.arange(positions)], axis=1))
    allowed = [(float(probability[n]), text) for n, text in enumerate(texts)]
    return sorted((x for x in allowed if x[0] > 0 and automaton.accepts(x[1])), reverse=True)


def check(p: Floats, pattern: str, top: int) -> None:
    """The search finds the `top` texts of `p` `(C, T)` that enumeration finds."""
    automaton = compile_grammar(pattern, CHARACTERS[: len(p) - 1])
    expected = enumerated(p, automaton)
    behind = suffixes(p[None], automaton)
    assert behind.best[0] * (1 + 1e-12) >= max((x for x, _ in expected), default=0)
    found = [(best_allowed(p, behind.continued[0], automaton, top), top)]
    for likely in (1, 2, allowed_texts.LIKELY):
        with patch.object(allowed_texts, "LIKELY", likely):
            for texts in {1, top}:
                (one,) = allowed_texts.allowed_texts(p[None], automaton, texts, np.zeros(1))
                found.append((one, texts))
    probabilities = {text: x for x, text in expected}
    for scored, texts in found:
        assert len(scored) == len(expected[:texts])
        for (labels, probability), (best, _) in zip(scored, expected, strict=False):
            assert np.isclose(probability, [best, probabilities[labels]], rtol=1e-12, atol=0).all()


def check_random(seed: int) -> None:
    """`check` on a random lattice of at most 5 classes and 7 positions, a random grammar of
    `GRAMMARS`, and 1 to 4 texts.
    """
    rng = np.random.default_rng(seed)
    pattern = GRAMMARS[rng.integers(len(GRAMMARS))]
    letters = [c for c in CHARACTERS if c in pattern] or ["a"]
    classes = int(rng.integers(CHARACTERS.index(letters[-1]) + 2, len(CHARACTERS) + 2))
    positions = int(rng.integers(1, 8))
    flat = rng.choice([0.05, 0.3, 3.0])
    p = rng.dirichlet([flat] * classes, size=positions).T.copy()
    check(p, pattern, int(rng.integers(1, 5)))


def shortfalls(logits: NDArray[np.float32], width: int = BEAM) -> Iterator[int]:
    """The images of `logits` `(N, 68, T)` for which a beam of `width` finds a more probable plate
    than the search, by more than rounding.
    """
    every = softmax(logits)
    texts = allowed_texts.allowed_texts(every, CHINA_PLATES, 1, np.zeros(len(every)))
    for image, (p, found) in enumerate(zip(every, texts, strict=True)):
        beam = [labels for labels in prefix_beam_search(p, width) if CHINA_PLATES.accepts(labels)]
        others = label_probability(np.broadcast_to(p, (len(beam), *p.shape)), beam)
        best = found[0][1] if found else 0.0
        if others.max(initial=0.0) > best * (1 + 1e-9):
            yield image


def _pixels(images: Path | None, rendered: int) -> NDArray[np.uint8]:
    """`(N, 24, 94, 3)`: those of a folder, or plates of a seed that nothing else has."""
    from lprnet.runtime.image_io import read_image
    from lprnet.runtime.image_paths import images_in
    from lprnet.synthetic.render import render

    if images is not None:
        return np.stack([read_image(path) for path in images_in(images)])
    rng = np.random.default_rng(0)
    return np.stack([render(5_000_011, i, rng.uniform(0.5, 2))[0] for i in range(rendered)])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.runtime.grammar_oracle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--lattices", type=int, default=0)
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--rendered", type=int, default=0)
    arguments = parser.parse_args()
    for seed in range(arguments.lattices):
        check_random(seed)
    worse: list[int] = []
    count = 0
    if arguments.artifact:
        from lprnet.runtime.recognizer import Recognizer

        pixels = _pixels(arguments.images, arguments.rendered)
        count = len(pixels)
        worse = list(shortfalls(Recognizer(arguments.artifact).logits(pixels)))
    print(f"{arguments.lattices} lattices equal to enumeration")
    print(
        f"{count} images against a beam of {BEAM}, which found more on {len(worse)}: {worse[:20]}"
    )
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
