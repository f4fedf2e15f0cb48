"""The rendered plates that a run learns from: some of them have two rows."""

from dataclasses import dataclass

from lprnet.distillation.plate_cache import Pixels, RenderedPlates
from lprnet.synthetic.two_rows import render_two_rows


@dataclass(frozen=True)
class TrainingPlates(RenderedPlates):
    """Every `two_rows_every`-th plate has two rows, set beside each other as the runtime does it
    (`lprnet/runtime/two_rows.py`).
    """

    two_rows_every: int = 16

    def plate(self, index: int) -> tuple[Pixels, str]:
        """The image `(24, 94, 3)` uint8 BGR and its text."""
        if index % self.two_rows_every:
            return super().plate(index)
        _, image, text = render_two_rows(self.seed, index, self.difficulty(index))
        return image, text
