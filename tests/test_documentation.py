"""README and docs/: their commands parse, their blocks run, their links and messages exist."""

import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import tune_paddy
from tests.cli.commands import leaves, parse
from tests.documented import PAGES, ROOT, Block, Command, blocks, commands, proofs
from tune_paddy.core.config import SearchSettings
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.training.networks.architectures import resolve_arch

OTHER_TOOLS = {
    "bash .ci/run",
    "sqlite3 mlflow.db \".backup 'backup.db'\"",
    'sqlite3 backup.db "PRAGMA quick_check"',
    "curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' -d @request.json",
    "git clone https://github.com/OWNER/tune_paddy && cd tune_paddy",
    "lint-imports",
    "mlflow models serve -m model --env-manager local --port 5001",
    "mlflow server --backend-store-uri sqlite:///mlflow.db --artifacts-destination ./artifacts --port 5000",
    "mypy",
    "pip install uv",
    "pytest",
    "ray get-auth-token --generate",
    "ray start --head --port 6379",
    "ray start --address HEAD:6379",
    "ruff check .",
    "ruff format .",
    "uv sync",
    "uv run --group docs mkdocs build --strict",
    "uv run --group docs mkdocs serve",
    "uv sync --extra kaggle",
}
"""Command lines of other programs, which the tests do not run."""

ONLY_PARSED = {
    "search DATA --space paddy_search --trials 40 --gpu 0.5": "a GPU",
    "memory calibrate": "a GPU",
    "weights fetch SPACE --to weights": "a network",
}
"""Commands of the table that the tests cannot run → what they need."""

TASKS = re.findall(
    r"^\| [^|]+ \| `uv run tune-paddy ([^`]+)` \|$", (ROOT / "docs/tasks.md").read_text("utf-8"), re.MULTILINE
)
OURS = [command for command in commands() if command.text.split()[0] == "tune-paddy"]
NAMES = {path for path, _ in leaves()}
README_LINES = 130

FOR_CONTRIBUTORS = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs/architecture.md",
    *sorted((ROOT / "docs/contributing").glob("*.md")),
]
NOT_THERE = {"utils.py", "tune_paddy/data/layouts/name_ends.py"}
"""Files of these pages that do not exist: what a rule forbids, and what a recipe adds."""
BASES = (ROOT, ROOT / "tune_paddy")
ROOMS = {path.parent.name for path in (ROOT / "tune_paddy").glob("*/__init__.py")}
TOP = {".ci", "benchmarks", "docs", "notebooks", "search_spaces", "tests", "tune_paddy"} | ROOMS
"""First parts of paths that git tracks; others, such as `runs/`, are written by the program."""


def named(command: Command) -> str:
    """Return page and text of a command, as a test id."""
    return f"{command.page}: {command.text}"


def placed(block: Block) -> str:
    """Return page and line of a block, as a test id."""
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("command", OURS, ids=named)
def test_a_documented_command_can_be_typed(command: Command) -> None:
    """The parser accepts it, and so do the fields that validate texts."""
    words = [word for word in command.words if word != "--debug"]
    if words in ([], ["COMMAND"]) or any(path[: len(words)] == tuple(words) for path in NAMES):
        return  # a mention of the command, not a command line
    given = parse(words) if "--help" not in words and "--install-completion" not in words else {}
    if words[0] == "search":
        settings = {name: given[name] for name in SearchSettings.model_fields if given.get(name) is not None}
        SearchSettings().override(settings)
    if words[0] in ("search", "select"):
        options = {name: given[name] for name in ("metric", "method") if name in given}
        SelectionOptions(**options, weights=tuple(given.get("weights", ())))


@pytest.mark.parametrize("command", [one for one in commands() if one not in OURS], ids=named)
def test_a_command_of_another_program_is_listed(command: Command) -> None:
    assert command.text in OTHER_TOOLS


def test_every_listed_command_of_another_program_is_documented() -> None:
    assert {command.text for command in commands()} >= OTHER_TOOLS


@pytest.mark.parametrize("task", TASKS)
def test_a_command_of_the_table_of_tasks_is_covered_by_a_test(task: str) -> None:
    """A test is marked with it, and its module contains the command and each of its options."""
    if task in ONLY_PARSED:
        return
    command, *rest = Command("docs/tasks.md", f"tune-paddy {task}").words
    assert {command, *(word for word in rest if word.startswith("--"))} <= set(proofs()[task])


def test_every_command_that_a_test_documents_is_in_the_table() -> None:
    assert set(proofs()) <= set(TASKS)
    assert set(ONLY_PARSED) <= set(TASKS)


def test_the_table_of_tasks_has_every_command() -> None:
    starts = [tuple(Command("", f"tune-paddy {task}").words) for task in TASKS]
    missing = [words for words in NAMES if not any(start[: len(words)] == words for start in starts)]
    assert missing == []


@pytest.mark.parametrize("block", blocks("python"), ids=placed)
def test_a_block_of_python_compiles_and_its_names_are_there(block: Block) -> None:
    """Imports work, attributes exist, and keywords fit the signatures; nothing is run."""
    tree = ast.parse(block.text)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {name.asname or name.name: importlib.import_module(name.name) for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            known |= {name.asname or name.name: getattr(module, name.name) for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (owner := resolve(node.value, known)) is not None:
            assert hasattr(owner, node.attr), ast.unparse(node)
        if isinstance(node, ast.Call) and (function := resolve(node.func, known)) is not None:
            keywords = {str(word.arg): None for word in node.keywords}
            inspect.signature(function).bind(*node.args, **keywords)


def resolve(node: ast.expr, known: dict[str, Any]) -> Any:
    """Return the imported object that an expression names, or None."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := resolve(node.value, known)) is not None:
        return getattr(owner, node.attr, None)
    return None


@pytest.mark.parametrize("block", blocks("yaml"), ids=placed)
def test_a_block_of_yaml_is_a_search_space(block: Block) -> None:
    """Its architectures are known to timm; a block of settings alone gets a member to be valid."""
    sections = yaml.safe_load(block.text)
    needs_member = not {"recipes", "spaces"} & set(sections)
    text = block.text + "\nrecipes: [{arch: test_resnet}]\n" if needs_member else block.text
    space = SearchSpace.parse(text, name=placed(block))
    assert all(resolve_arch(arch) for arch in space.architectures())


def test_no_block_is_of_a_language_that_nothing_checks() -> None:
    known = {"sh", "console", "python", "yaml", "text", "json", "csv"}
    assert [placed(block) for page in ("",) for block in blocks(page)] == [], "a block has no language"
    used = {
        word for page in PAGES for word in re.findall(r"^ *```(\w+)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert used <= known


@pytest.mark.parametrize(
    "quoted", re.findall(r"^### `([^`]+)`$", (ROOT / "docs/errors.md").read_text("utf-8"), re.MULTILINE)
)
def test_an_error_of_the_page_is_one_of_the_program(quoted: str) -> None:
    """The parts between the page's `…` are in one string of the sources."""
    parts = [part.strip() for part in quoted.split("…") if part.strip()]
    assert any(all(part in text for part in parts) for text in messages()), quoted


def as_printed(text: str) -> str:
    """Spell parameters in a message as the command line does, without knowing which names are parameters."""
    text = re.sub(r"`data`", "DATA", text)
    text = re.sub(r"`([a-z_]+)(?:=([^`]*))?`", lambda name: " ".join(filter(None, spelt(name))), text)
    return re.sub(r"^weights: ", "--weights: ", text)


def spelt(name: re.Match[str]) -> tuple[str, str | None]:
    """Return the option of a parameter, and its value."""
    return f"--{name[1].replace('_', '-')}", name[2]


def messages() -> list[str]:
    """Return every string of the sources, with `{}` for interpolated values, as the program prints it."""
    if not _MESSAGES:
        for path in (ROOT / "tune_paddy").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    text = "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
                    )
                    _MESSAGES.append(as_printed(text))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    _MESSAGES.append(as_printed(node.value))
    return _MESSAGES


_MESSAGES: list[str] = []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent == ROOT], ids=lambda page: page.name)
def test_links_outside_of_docs_lead_to_files(page: Path) -> None:
    """`mkdocs build --strict` checks those within docs/."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", FOR_CONTRIBUTORS, ids=lambda page: page.name)
def test_every_path_that_a_page_for_contributors_names_is_there(page: Path) -> None:
    """A bare name lies in a folder that the same paragraph or row names, or at the top."""
    blocks = re.split(r"\n(?=\s*\n|\| |\d+\. |- )", page.read_text("utf-8"))
    missing = {path for block in blocks for path in missing_paths(block)}
    assert missing <= NOT_THERE


def missing_paths(block: str) -> list[str]:
    """Return the paths in a block's code spans that neither the repository nor the package has."""
    words = [word for span in re.findall(r"`([^`\n]+)`", block) for word in span.split()]
    found = [base / word for word in words for base in BASES if (base / word).exists()]
    folders = [*BASES, *(path if path.is_dir() else path.parent for path in found)]
    named = [word for word in words if re.fullmatch(r"[\w./-]+", word) and is_path(word)]
    return [word for word in named if not any((folder / word).exists() for folder in folders)]


def is_path(word: str) -> bool:
    """Return whether a word is the path of a source, or of anything in a folder that git tracks."""
    return word.endswith((".py", ".md", ".toml", ".cff")) or ("/" in word and word.partition("/")[0] in TOP)


def test_a_file_that_a_recipe_adds_is_not_there_yet() -> None:
    """Otherwise its example is taken, as a layout once was."""
    assert [path for path in sorted(NOT_THERE) if (ROOT / path).exists()] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    released = re.search(
        r"^## \[(\d[^\]]*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    assert released
    assert project["version"] == tune_paddy.__version__ == str(citation["version"]) == released[1]
    assert str(citation["date-released"]) == released[2]
