"""Pin the versions that were tested: `uv run python .ci/pin.py` rewrites `constraint-dependencies`.

Resolves the project anew, for every platform, without the present pins, and writes what came out into
pyproject.toml, where `uv run` and `uv sync` obey it. Run the tests afterwards, and commit both or neither.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
BLOCK = re.compile(r"constraint-dependencies = \[\n.*?^\]\n", re.DOTALL | re.MULTILINE)


def main() -> None:
    """Resolve, then rewrite the block in place."""
    text = PROJECT.read_text(encoding="utf-8")
    block = "".join(f'  "{pin}",\n' for pin in resolve(BLOCK.sub("", text)))
    pinned = f"constraint-dependencies = [\n{block}]\n"
    if BLOCK.search(text):
        text = BLOCK.sub(lambda _: pinned, text)
    else:
        text = text.replace("[tool.uv]\n", f"[tool.uv]\n{pinned}")
    PROJECT.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{pinned.count('==')} versions pinned\n")


def resolve(project: str) -> list[str]:
    """Versions of every package that a project's pyproject.toml leads to, with their markers."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(project, encoding="utf-8")
        command = ["uv", "export", "--quiet", "--extra", "kaggle", "--all-groups"]
        command += ["--no-hashes", "--no-emit-project", "--no-annotate", "--no-header"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    # A quote would end the TOML string; uv writes markers with single ones.
    return sorted(line.strip().replace('"', "'") for line in done.stdout.splitlines() if "==" in line)


if __name__ == "__main__":
    main()
