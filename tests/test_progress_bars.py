"""Progress bars are for terminals: in a log or a pipe they are a thousand lines of noise."""

import ast

from tests.conftest import PROJECT


def test_no_bar_is_drawn_where_stderr_is_no_terminal() -> None:
    """tqdm's `disable=None` asks for that; each of its bars must be given it."""
    bars = []
    for path in sorted((PROJECT / "lprnet").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("tqdm", "trange"):
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                bars.append(path.name)
                assert given.get("disable") == "None", f"{path}:{node.lineno}"
    assert len(bars) > 5
