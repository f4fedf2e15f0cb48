"""tract: ONNX files as they are; single-threaded by build."""

import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

from engines.interface import Array, Bind, Infer

if TYPE_CHECKING:
    from pathlib import Path


def convert(source: "Path", target: "Path") -> None:
    """Copy the ONNX file `source` to `target`."""
    shutil.copyfile(source, target)


def load(file: str) -> Bind:
    """Load an ONNX file; it is compiled for the batch of each input that is bound."""
    import tract

    @cache
    def compiled(shape: tuple[int, ...]) -> Any:
        model = tract.onnx().load(file)
        model.set_input_fact(0, f"{','.join(map(str, shape))},f32")
        model.analyse()
        return model.into_model().into_runnable()

    def bind(images: Array) -> Infer:
        runnable = compiled(images.shape)

        def infer() -> Array:
            logits: Array = runnable.run([images])[0].to_numpy()
            return logits

        return infer

    return bind
