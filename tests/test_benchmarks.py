"""Every benchmark can start: what it imports from this project exists."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("tune_paddy", "tests", "benchmarks")


def missing(code: str) -> Iterator[str]:
    """Yield the modules and names of this project that a program imports and that do not exist."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            modules = [name.name for name in node.names if name.name.partition(".")[0] in OURS]
            yield from (module for module in modules if file_of(module) is None)
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in OURS:
            bound = names_of(str(node.module))
            yield from (f"{node.module}.{name.name}" for name in node.names if name.name not in bound)


def file_of(module: str) -> Path | None:
    """Return the source of a module; a package without one is its folder."""
    path = ROOT.joinpath(*module.split("."))
    found = (path.with_suffix(".py"), path / "__init__.py", path)
    return next((file for file in found if file.exists()), None)


def names_of(module: str) -> set[str]:
    """Return what can be imported from a module without running it: its own names and its submodules."""
    file = file_of(module)
    if file is None:
        return set()
    inside = file if file.is_dir() else file.parent if file.name == "__init__.py" else None
    submodules = {path.stem for path in inside.iterdir()} if inside else set()
    return submodules | (set(bound(ast.parse(file.read_text()).body)) if file.is_file() else set())


def bound(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements of a module bind."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (name.asname or name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
            yield from (name.id for name in names if isinstance(name.ctx, ast.Store))
        elif isinstance(node, ast.If | ast.Try | ast.With):
            blocks = [node.body, getattr(node, "orelse", [])]
            blocks += [handler.body for handler in getattr(node, "handlers", [])]
            for block in blocks:
                yield from bound(block)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_imports_what_exists(path: Path) -> None:
    assert not list(missing(path.read_text()))


@pytest.mark.parametrize(
    "code",
    [
        "import tune_paddy.data.no_module",
        "from tune_paddy.data.no_module import read",
        "from tune_paddy.data.submission import no_name",
        "from tune_paddy.core.metrics import no_name",
    ],
)
def test_a_missing_module_or_name_is_found(code: str) -> None:
    assert list(missing(code))
