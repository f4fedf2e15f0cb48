"""What an installation consists of, as `pyproject.toml` says it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lprnet
from lprnet.compiler.link import DISPATCH
from lprnet.tuning import LOGS, log_folder
from lprnet.weights import DEFAULT_CHECKPOINT
from tests.conftest import PROJECT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomllib")


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    content = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    table: dict[str, object] = content["project"]
    return table


def names(requirements: object) -> set[str]:
    assert isinstance(requirements, list)
    return {one.partition(">")[0].partition("=")[0].partition("<")[0] for one in requirements}


def test_a_plain_install_is_the_runtime(project: dict[str, object]) -> None:
    plain = names(project["dependencies"])
    assert plain == {"apache-tvm-ffi", "numpy", "opencv-python-headless"}
    assert not any("<" in one for one in project["dependencies"])  # type: ignore[attr-defined]


def locked_versions(file: str) -> dict[str, set[str]]:
    """Each package of the lock `file` with its versions, one per range of Pythons."""
    versions: dict[str, set[str]] = {}
    lock = (PROJECT / file).read_text(encoding="utf-8")
    for block in re.split(r"^(?=\w)", lock, flags=re.MULTILINE)[1:]:
        found = re.match(r"([\w-]+)==([\w.]+)", block)
        assert found, block[:60]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), f"{found[0]} has no hash"
        versions.setdefault(found[1], set()).add(found[2])
    return versions


def test_the_lock_file_and_the_bill_of_materials_are_those_of_a_plain_install(
    project: dict[str, object],
) -> None:
    locked = locked_versions("requirements-runtime.txt")
    for text in project["dependencies"]:  # type: ignore[attr-defined]
        requirement = Requirement(text)
        assert locked[requirement.name], text
        assert all(version in requirement.specifier for version in locked[requirement.name]), text
    bill = json.loads((PROJECT / "sbom.json").read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {one["name"].replace("_", "-"): one["version"] for one in bill["components"]}
    assert listed.keys() == locked.keys()
    for name, version in listed.items():
        assert version in locked[name], name


def test_the_service_is_locked_with_the_runtime_and_to_what_is_tested(
    project: dict[str, object],
) -> None:
    locked = locked_versions("requirements-service.txt")
    for name, versions in locked_versions("requirements-runtime.txt").items():
        assert locked[name] == versions, name
    tested = dict(
        line.split("==")
        for line in (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    for text in project["optional-dependencies"]["serve"]:  # type: ignore[index]
        name = Requirement(text).name
        assert tested[name if name in tested else name.replace("-", "_")] in locked[name], name


def test_the_image_is_made_of_what_the_package_needs() -> None:
    """Everything that the build reads is let through, and root does not serve."""
    admitted = (PROJECT / ".dockerignore").read_text(encoding="utf-8").split("!")[1:]
    names = {line.split("\n")[0] for line in admitted}
    content = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = content["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {one.rstrip("*").split(".")[0] for one in packages} <= names
    assert {"pyproject.toml", content["project"]["readme"], "LICENSE"} <= names
    assert all((PROJECT / name).exists() for name in names)
    steps = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    installs = [line for line in steps.splitlines() if "pip install" in line]
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    assert steps.index("USER lprnet") < steps.index("ENTRYPOINT")


def test_data_files_lie_where_the_wheel_takes_them_from(tmp_path: Path) -> None:
    """Everything that is read at run time lies in a package, and the wheel's patterns match it."""
    shipped = [DISPATCH, DEFAULT_CHECKPOINT, *LOGS.rglob("*.json"), *LOGS.rglob("*.jsonl")]
    assert len(shipped) >= 2 + 4 * 4
    content = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    data = content["tool"]["setuptools"]["package-data"]
    packages = [PROJECT / name for name in ("lprnet", "tuning_logs")]
    matched = {file for one in packages for pattern in data[one.name] for file in one.glob(pattern)}
    for package in packages:
        matched |= {*package.rglob("*.py"), package / "py.typed"}
    for file in shipped:
        assert file in matched, file
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "lprnet", "tuning_logs"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    names = list(filter(None, tracked.stdout.decode().split("\0")))
    for name in names:
        assert PROJECT / name in matched, f"{name} is not in the wheel"
    assert "tuning_logs/__init__.py" in names, "without it no wheel has the folder"
    for name in ("relay_passes", "schedules"):
        assert (PROJECT / name / "py.typed").is_file()


def test_the_users_log_comes_before_the_one_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert log_folder(LOGS, "broadwell", "int8") == LOGS / "broadwell" / "int8"
    Path("tuning_logs/broadwell/int8").mkdir(parents=True)
    assert log_folder(LOGS, "broadwell", "int8") == Path("tuning_logs/broadwell/int8")
    assert log_folder(LOGS, "icelake-server", "int8") == LOGS / "icelake-server" / "int8"
    assert log_folder(Path("x"), "broadwell", "int8") == Path("x/broadwell/int8")


def test_the_version_is_said_once(project: dict[str, object]) -> None:
    assert project["dynamic"] == ["version"]
    changes = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{lprnet.__version__}]" in changes
