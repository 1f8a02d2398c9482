"""Commands and fenced blocks of README and the documentation, for the tests that check them."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
    ]
)

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.DOTALL | re.MULTILINE
)
_INLINE = re.compile(r"`((?:uv run )?tune-paddy [^`\n]+)`")
_SHELLS = ("sh", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Path of the page, relative to the repository.
        line: Line number of its first line of text.
        language: Word after the fence, or "".
        text: Content without indentation.
    """

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command line of a page.

    Attributes:
        page: Path of the page, relative to the repository.
        text: Command line, on one line, without `uv run`.
    """

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Arguments as the shell splits them, without the program's name."""
        return shlex.split(self.text, comments=True)[1:]


@cache
def blocks(*languages: str) -> tuple[Block, ...]:
    """Return all fenced blocks of these languages."""
    return tuple(block for page in PAGES for block in _blocks(page) if block.language in languages)


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start("text")) + 1
        content = re.sub(f"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
        yield Block(str(page.relative_to(ROOT)), line, fence["language"], content)


@cache
def commands() -> tuple[Command, ...]:
    """Return all command lines in shell blocks, then those of this program in the prose."""
    typed = [
        Command(block.page, _without_runner(line)) for block in blocks(*_SHELLS) for line in _typed(block)
    ]
    for page in PAGES:
        prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
        name = str(page.relative_to(ROOT))
        typed += [Command(name, _without_runner(text)) for text in _INLINE.findall(prose)]
    return tuple(dict.fromkeys(typed))


def _typed(block: Block) -> Iterator[str]:
    """Yield the command lines of a shell block; in a console block, those after `$`."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "console":
            if line.startswith("$ "):
                yield line.removeprefix("$ ").strip()
        elif line.strip() and not line.lstrip().startswith("#"):
            yield " ".join(line.partition(" # ")[0].split())


def _without_runner(command: str) -> str:
    rest = command.removeprefix("uv run ")
    return command if rest.startswith("-") else rest  # uv's own options belong to the command


@cache
def proofs() -> dict[str, list[str]]:
    """Return each command line that a test documents → all strings of the test's module."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.documents(" not in text:
            continue
        tree = ast.parse(text)
        words = [word for module in (tree, *_helpers(tree)) for word in _constants(module)]
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.documents":
                for command in call.args:
                    found.setdefault(ast.literal_eval(command), []).extend(words)
    return found


def _helpers(tree: ast.Module) -> Iterator[ast.Module]:
    """Yield the test modules that a module imports, which may contain the arguments."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            yield ast.parse(
                (ROOT / (node.module or "").replace(".", "/")).with_suffix(".py").read_text("utf-8")
            )


def _constants(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
