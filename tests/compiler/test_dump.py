"""`build --dump`: one file a phase, in order, readable; nothing where it is not asked for."""

from pathlib import Path

import pytest
import tvm
from tvm import relax

from lprnet.compiler.dump import dump_phase, dump_phases
from lprnet.support.errors import UserError
from relay_passes.pipeline import reduce_graph
from tests.relax_networks import module


def network() -> tvm.IRModule:
    """`relu(x)`: something for the passes to read."""
    return module(relax.op.nn.relu, (1, 3, 4, 4))


def test_a_file_for_every_pass_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "dump"
    with dump_phases(folder):
        reduce_graph(network())
        dump_phase("x86-assembly.s", lambda: "ret")
    names = sorted(path.name for path in folder.iterdir())
    assert names[0] == "01-torch.py"
    assert names[1] == "02-CanonicalizeExport.py"
    assert names[-1] == f"{len(names):02}-x86-assembly.s"
    assert "FoldBatchNorm" in "".join(names)
    assert not any("reduce_graph" in name for name in names)
    text = (folder / names[0]).read_text("utf-8")
    assert "R.nn.relu(x)" in text
    assert (folder / names[-1]).read_text("utf-8") == "ret"


def test_nothing_is_kept_where_nobody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected() -> str:
        raise AssertionError("a text is made that no file needs")

    monkeypatch.chdir(tmp_path)
    with dump_phases(tmp_path / "dump"):
        pass
    dump_phase("scheduled.py", unexpected)
    reduce_graph(network())
    assert [path.name for path in tmp_path.rglob("*")] == ["dump"]


def test_files_of_another_build_are_not_mixed_in(tmp_path: Path) -> None:
    (tmp_path / "01-torch.py").write_text("old")
    with pytest.raises(UserError, match="not empty"), dump_phases(tmp_path):
        pass
    with pytest.raises(UserError, match="01-torch.py"), dump_phases(tmp_path / "01-torch.py"):
        pass
    assert (tmp_path / "01-torch.py").read_text() == "old"
