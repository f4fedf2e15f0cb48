"""What many tests build, prepared once: quantization, pruning and a portable artifact take half a
minute of CPU time each, so tests call these functions through `SharedResults`.
"""

from pathlib import Path

from lprnet.build import Request, build
from lprnet.compression.variants import prepare
from lprnet.model.subnormals import subnormals_as_zero
from lprnet.weights import DEFAULT_CHECKPOINT

prepared = subnormals_as_zero()(prepare)
"""`prepare` as `lprnet.build.build` calls it: what a build gives its compiler."""


def default_artifact(target: str, folder: Path) -> Path:
    """The artifact of the default model in float32 for `target`, written into `folder`, which must
    be of the session.
    """
    request = Request(DEFAULT_CHECKPOINT, None, None, target, "manual", None, folder)
    return build(request)[0].artifact
