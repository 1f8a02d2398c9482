"""The program calls nothing that runs code from data or passes text to a shell."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path
    for folder in ("tune_paddy", "benchmarks", "notebooks", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".ipynb"}
)
MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "tarfile"}
NAMES = {"eval", "exec", "compile", "__import__"}
METHODS = {
    ("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput"),
    ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("yaml", "Loader"),
    ("yaml", "UnsafeLoader"), ("yaml", "FullLoader"), ("pd", "read_pickle"), ("pandas", "read_pickle"),
    ("hub", "load"), ("jit", "load"), ("shutil", "unpack_archive"), ("tempfile", "mktemp"),
    ("Tuner", "restore"),  # Ray's own state is pickles
}  # fmt: skip
ANY_METHOD = {"extractall", "extract", "load_learner"}
SAFE = {"torch": ("weights_only", True), "np": ("allow_pickle", False), "numpy": ("allow_pickle", False)}
"""Module → the keyword argument that its `load` must have, and its value."""


def forbidden(code: str) -> Iterator[str]:
    """Yield every forbidden import or call of a program, with its line."""
    for node in ast.walk(ast.parse(code)):
        for what in _forbidden(node):
            yield f"line {getattr(node, 'lineno', 0)}: {what}"


def _forbidden(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names if name.name.partition(".")[0] in MODULES)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        parts = {*module.split("."), *(name.name for name in node.names)}
        yield from sorted(parts & MODULES)
        pairs = ((module.rpartition(".")[2], name.name) for name in node.names)
        yield from (".".join(pair) for pair in pairs if pair in METHODS)
    elif isinstance(node, ast.Attribute):
        owner = _last_name(node.value)
        if (owner, node.attr) in METHODS or node.attr in ANY_METHOD:
            yield f"{owner}.{node.attr}"
    elif isinstance(node, ast.Call):
        yield from _forbidden_call(node)


def _forbidden_call(call: ast.Call) -> Iterator[str]:
    if isinstance(call.func, ast.Name) and call.func.id in NAMES:
        yield call.func.id
    given = {word.arg: getattr(word.value, "value", "computed") for word in call.keywords}
    yield from (f"{word}={given[word]}" for word in ("shell", "allow_pickle") if given.get(word, False))
    if isinstance(call.func, ast.Attribute) and call.func.attr == "load":
        word, value = SAFE.get(_last_name(call.func.value), ("", None))
        if given.get(word) is not value:
            yield f"load without {word}={value}"


def _last_name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def code_of(path: Path) -> str:
    """Return the source of a module, or of all code cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(source) for source in cells).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def test_nothing_forbidden_is_called() -> None:
    assert len(SOURCES) > 100
    found = {path.relative_to(ROOT).as_posix(): list(forbidden(code_of(path))) for path in SOURCES}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import ray.cloudpickle as x, dill.source",
        "from pickle import loads",
        "from ray import cloudpickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.hub.load('a', 'b')",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.save(path, x, allow_pickle=flag)",
        "yaml.load(text, Loader=yaml.Loader)",
        "from yaml import unsafe_load",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "archive.extractall(folder)",
        "tune.Tuner.restore(path)",
        "pd.read_pickle(path)",
    ],
)
def test_the_check_finds(code: str) -> None:
    assert list(forbidden(code))


@pytest.mark.parametrize(
    "code",
    ["torch.load(p, weights_only=True)", "np.load(p, allow_pickle=False)", "model.eval()", "json.load(f)"],
)
def test_the_check_allows(code: str) -> None:
    assert not list(forbidden(code))


UNFINISHED = {
    "api/figures.py": "bytes in memory",
    "data/image_cache/shards.py": "a file that is renamed when it is complete",
    "data/kaggle/archive.py": "a folder that is renamed when it is complete",
    "data/samples.py": "bytes in memory",
    "data/system/files.py": "a file that is renamed when it is complete: the function for all others",
    "data/system/owned_folders.py": "a folder without its whole text is not removed",
    "data/storage/images.py": "a file that is renamed when it is complete",
    "data/thumbnails.py": "bytes in memory",
    "ensemble/folders.py": "a folder that is renamed when it is complete",
    "ensemble/reports/page/themed.py": "bytes in memory",
    "search/recording.py": "the method of a split, which writes atomically",
    "search/sampling/study_figures.py": "bytes in memory",
    "search/teaching/targets.py": "bytes in memory",
    "search/timing/members.py": "noise images in a temporary folder",
    "serving/predicted/contact_sheet.py": "bytes in memory",
    "serving/selection_data.py": "a part of an export, which is renamed when it is complete",
    "training/folds.py": "bytes in memory",
    "training/networks/pretrained.py": "a file that is renamed when it is complete",
    "training/saved/checkpoint.py": "the same",
    "serving/bundle.py": "a folder that is renamed when it is complete",
    "serving/card.py": "the same",
    "serving/collect.py": "the same",
    "serving/export.py": "the same",
    "serving/payloads.py": "the images of one request",
    "search/stopping/frozen_processes.py": "a line on a killed process",
    "search/stopping/stall_watch.py": "a file that only its own process needs",
}
"""Module of the package → why it may write a file that a crash leaves incomplete."""
WRITES = {
    "write_text", "write_bytes", "to_csv", "to_json", "to_parquet", "save", "savez", "savez_compressed",
    "savefig", "save_file", "tofile", "copyfile", "copy2", "copytree",
}  # fmt: skip
WRITING = re.compile(r"[rbt]*[wax+][wax+bt]*")
"""Modes of `open` that write."""


def plain_writes(code: str) -> list[str]:
    """Return the calls that write a file other than atomically, or may do so: `save` takes buffers, too."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    named = [(call, name_of(call.func)) for call in calls]
    opened = ["open" for call, name in named if name == "open" and WRITING.fullmatch(mode_of(call))]
    return [*opened, *(name for _, name in named if name in WRITES)]


def name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def mode_of(call: ast.Call) -> str:
    """Return the mode of `open(path, mode)`, `path.open(mode)` or `open(…, mode=mode)`; empty: it reads."""
    given = [word.value for word in call.keywords if word.arg == "mode"]
    given += call.args[0:1] if isinstance(call.func, ast.Attribute) else call.args[1:2]
    return next((str(value.value) for value in given if isinstance(value, ast.Constant)), "")


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'w')",
        "open(path, mode='ab')",
        "path.open('xb')",
        "path.open(mode='r+')",
        "np.savez(path, a=a)",
        "image.save(path)",
        "shutil.copyfile(a, b)",
        "path.write_text('')",
        "save_file(tensors, path)",
    ],
)
def test_a_plain_write_is_found(code: str) -> None:
    assert plain_writes(code)


@pytest.mark.parametrize(
    "code", ["open(path)", "path.open('rb')", "open(path, 'r')", "Image.open('war.png')"]
)
def test_reading_is_no_plain_write(code: str) -> None:
    assert not plain_writes(code)


def test_every_lasting_file_is_written_atomically() -> None:
    package = ROOT / "tune_paddy"
    found = {
        path.relative_to(package).as_posix(): plain_writes(code_of(path)) for path in package.rglob("*.py")
    }
    assert {name for name, writes in found.items() if writes} == set(UNFINISHED)
