"""One file is timed as its engine runs it; what cannot be timed is said in one sentence."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from lprnet.commands import bench as command
from lprnet.commands import main
from lprnet.measure.bench import ENGINES, bench
from lprnet.runtime.artifact import write_artifact
from lprnet.support.errors import UserError
from tests.runtime.tiny_artifact import artifact


def relu(path: Path, shape: tuple[int | str, ...] = ("n", 3, 4, 5)) -> Path:
    """An ONNX file that is not an LPRNet."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), str(path))
    return path


def test_the_engines_are_those_of_the_code() -> None:
    assert command.ENGINES == ENGINES


def test_an_artifact_has_one_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.so"
    write_artifact(artifact("A", path))
    arguments = ["lprnet", "bench", str(path), "--batch=3", "--threads=2", "--repeats=5", "--json"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert (found["engine"], found["batch"], found["threads"], found["repeats"]) == ("tvm", 3, 2, 5)
    assert 0 < found["min_ms"] <= found["median_ms"] <= found["p95_ms"]
    assert found["plates_per_second"] == pytest.approx(3000 / found["median_ms"])


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_an_onnx_file_runs_in_either_engine(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine, reason="the extra `peers` is not installed")
    found = bench(relu(tmp_path / "r.onnx"), engine, batch=2, threads=1, repeats=4)
    assert (found.record.engine, found.record.repeats) == (engine, 4)
    text = found.as_text()
    assert text.startswith(f"r in {engine}")
    assert "2 images a call, 1 thread, pinned to a core, 4 calls" in text


def test_what_cannot_be_timed(tmp_path: Path) -> None:
    checkpoint = tmp_path / "m.pth"
    checkpoint.touch()
    empty = tmp_path / "e.onnx"
    empty.write_bytes(b"no protobuf")
    fixed = relu(tmp_path / "f.onnx", (4, 3, 4, 5))
    open_size = relu(tmp_path / "o.onnx", ("n", 3, "h", "w"))
    for path, engine, reason in (
        (checkpoint, None, "lprnet build --onnx writes"),
        (fixed, "tvm", "cannot be timed in tvm"),
        (empty, "onnxruntime", "no ONNX file of one input"),
        (fixed, "onnxruntime", "takes 4 images a call"),
        (open_size, "onnxruntime", "size of its images open"),
    ):
        with pytest.raises(UserError, match=reason) as error:
            bench(path, engine, batch=1, threads=1, repeats=1)
        assert str(path) in str(error.value)
