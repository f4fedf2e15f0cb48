"""Programs with AddressSanitizer and UndefinedBehaviorSanitizer, of the C that this project has."""

import subprocess
from pathlib import Path

from tvm_ffi import libinfo

from lprnet.compiler.link import DISPATCH
from lprnet.compiler.toolchain import c_compiler
from tests.conftest import PROJECT

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
SOURCES = Path(__file__).parent
EXAMPLE = PROJECT / "examples" / "c"

VERSIONS = """\
#define VERSIONS VERSION(run_fuzzed, 1, 2, 8, 32, 0u, 0u, 0u, 0u, 0u, 0u)
#define IMAGE {2, 5, 3}
#define CONTRACT 7
#define CANNOT_RUN "This CPU cannot run the artifact."
"""
"""`versions.h` for `dispatch_driver.c`: one version, for any CPU with AVX."""


def why_not(folder: Path) -> str | None:
    """Why this machine builds no program with sanitizers, if it does not."""
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    command = [*c_compiler(), *SANITIZERS, "empty.c", "-o", "empty"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if built.returncode:
        return f"the C compiler has no AddressSanitizer: {built.stderr.strip().splitlines()[-1]}"
    ran = subprocess.run([folder / "empty"], capture_output=True, text=True)
    return f"AddressSanitizer does not run: {ran.stderr[-200:]}" if ran.returncode else None


def dispatch_driver(folder: Path) -> Path:
    """`dispatch.c` with `dispatch_driver.c`."""
    (folder / "versions.h").write_text(VERSIONS)
    sources = [SOURCES / "dispatch_driver.c", DISPATCH]
    return _compiled("dispatch_driver", sources, [f"-I{folder}"], folder)


def manifest_driver(folder: Path) -> Path:
    """The example's reader of manifests with `manifest_driver.c`."""
    names = ("manifest.c", "json.c", "canonical_json.c", "sha256.c")
    sources = [SOURCES / "manifest_driver.c", *(EXAMPLE / name for name in names)]
    return _compiled("manifest_driver", sources, [f"-I{EXAMPLE}"], folder)


def read_plate(folder: Path) -> Path:
    """The example itself, with the libtvm_ffi of this environment."""
    library = Path(libinfo.find_libtvm_ffi()).parent
    options = [f"-L{library}", f"-Wl,-rpath,{library}", "-ltvm_ffi", "-ldl"]
    return _compiled("read_plate", sorted(EXAMPLE.glob("*.c")), options, folder)


def _compiled(name: str, sources: list[Path], options: list[str], folder: Path) -> Path:
    includes = [f"-isystem{directory}" for directory in libinfo.include_paths()]
    command = [*c_compiler(), *SANITIZERS, "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    command += [*includes, *map(str, sources), *options, "-o", str(folder / name)]
    subprocess.run(command, check=True, timeout=300)
    return folder / name
