"""Cases through `build` and `recognize`, compared with torch."""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lprnet.commands.dispatch import execute
from lprnet.runtime.artifact import missing_flags, read_manifest
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from tests.other_networks.case import VARIANTS, Case
from tests.other_networks.network import Network
from tests.other_networks.script_server import SCRIPTS, ScriptServer, script_server
from tests.other_networks.shared_work import shared_work

CLOSE = 1e-4
"""Of the largest logit, in float32."""
BUILT_AS = {
    "fp32": "fp32",
    "weights": "int8-weights",
    "static": "int8",
    "structured": "fp32-structured",
}


def build_here(arguments: list[str]) -> None:
    """What `scripts/build.py` does with `arguments`, in this process."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert not execute(arguments, "build")


def build_in_a_process(arguments: list[str]) -> None:
    """`scripts/build.py` with `arguments`, as a user calls it."""
    subprocess.run([sys.executable, SCRIPTS / "build.py", *arguments], check=True)


@contextmanager
def checks(photographs: int = 4, rendered: int = 20) -> Iterator["Checks"]:
    """Within, cases can be checked, each with so many `photographs` to calibrate on and to read. A
    build without calibration is compared on `rendered` images.
    """
    modules = ("lprnet.commands.recognize", "lprnet.runtime.batch_reader")
    with script_server(modules) as scripts, shared_work(rendered):
        made = Checks(scripts, photographs)
        try:
            yield made
        finally:
            made.close()


class Checks:
    """Checks cases one after the other; those of one network, if neighbours, share its files."""

    def __init__(self, scripts: ScriptServer, photographs: int) -> None:
        self._scripts = scripts
        self._photographs = photographs
        self._key: tuple[str, ...] | None = None
        self._files = contextlib.ExitStack()
        self._network: Network

    def close(self) -> None:
        """Remove the files of the last network."""
        self._files.close()

    def check(
        self, case: Case, folder: Path, build: Callable[[list[str]], None] = build_here
    ) -> dict[str, float]:
        """Have `build` make `case` in the empty `folder` and read with it; what was measured.

        Raises `AssertionError` where torch computes something else, and whatever the build raises.
        """
        network = self._network_of(case)
        arguments = [*network.flags, f"--target={case.target}", f"--output={folder}"]
        arguments += VARIANTS[case.variant]
        if case.variant != "fp32":
            arguments.append(f"--calibration={network.photos}")
        build(arguments)
        (artifact,) = folder.glob("*.so")
        manifest = read_manifest(artifact)
        assert (manifest.variant, manifest.target) == (BUILT_AS[case.variant], case.target)
        assert manifest.image.shape == network.shape
        assert manifest.alphabet == network.alphabet
        assert manifest.alphabet.classes == network.classes
        measured = {"mmac": manifest.macs / 1e6}
        (version,) = manifest.target_versions
        if missing_flags(version):
            _check_refused(artifact)
            return measured
        parity = version.parity
        assert parity is not None
        assert parity.same_plates == parity.images
        pixels = network.pixels(manifest.image)
        reader = Recognizer(artifact)
        found, expected = reader.logits(pixels), network.logits(pixels)
        assert found.shape == expected.shape
        assert np.isfinite(found).all()
        off = float(np.abs(found - expected).max() / np.abs(expected).max())
        assert case.variant != "fp32" or off < CLOSE
        self._check_recognized(reader, artifact, network.photos)
        return {**measured, "parity": parity.relative_error, "off_float": off}

    def _network_of(self, case: Case) -> Network:
        if case.network != self._key:
            self._files.close()
            folder = Path(self._files.enter_context(tempfile.TemporaryDirectory()))
            self._key, self._network = case.network, Network(case, folder, self._photographs)
        return self._network

    def _check_recognized(self, reader: Recognizer, artifact: Path, photos: Path) -> None:
        """`recognize` prints the texts of the artifact's logits."""
        arguments = [str(photos), "--json", "--no-grammar", "--artifact", str(artifact)]
        images = json.loads(self._scripts.run("recognize.py", arguments))["images"]
        assert [Path(image["file"]) for image in images] == sorted(photos.iterdir())
        for image in images:
            (plate,) = reader.read_many([image["file"]], grammar=False)
            assert image["plates"][0]["text"] == plate.text
            assert set(plate.text) <= set("".join(reader.manifest.alphabet.symbols))


def _check_refused(artifact: Path) -> None:
    """This CPU cannot run it: one sentence says so."""
    with pytest.raises(UserError) as refused:
        Recognizer(artifact)
    assert "\n" not in str(refused.value)
    assert str(artifact) in str(refused.value)
