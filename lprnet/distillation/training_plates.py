"""The rendered plates that networks learn from: some have two rows, and more are green than in what
the progress of a training is watched on."""

from dataclasses import dataclass

from lprnet.distillation.plate_cache import Pixels, RenderedPlates
from lprnet.synthetic.render import GREEN, render
from lprnet.synthetic.two_rows import render_two_rows


@dataclass(frozen=True)
class TrainingPlates(RenderedPlates):
    """Every `two_rows_every`-th plate has two rows, set beside each other as the runtime does it
    (`lprnet/runtime/two_rows.py`). Of the others, one in `green_every` is green whatever the kinds'
    shares say: eight characters in the place of seven are the hardest to learn.
    """

    two_rows_every: int = 12
    green_every: int = 8

    def plate(self, index: int) -> tuple[Pixels, str]:
        """The image `(24, 94, 3)` uint8 BGR and its text."""
        difficulty = self.difficulty(index)
        if index % self.two_rows_every == 0:
            _, image, text = render_two_rows(self.seed, index, difficulty)
            return image, text
        kind = GREEN if index % self.green_every == 1 else None
        return render(self.seed, index, difficulty, kind)
