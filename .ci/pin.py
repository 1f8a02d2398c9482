"""Pin the tested versions: `uv run python .ci/pin.py` rewrites `.ci/pins/constraints.txt`.

The script resolves the project for every platform without the current pins. Run the tests afterwards, and
commit the file only if they pass.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
CONSTRAINTS = PROJECT.parent / ".ci" / "pins" / "constraints.txt"
PINS = re.compile(r"^.*\btune-paddy-pins\b.*\n", re.MULTILINE)


def main() -> None:
    """Resolve the project, then overwrite the file."""
    pins = resolve(PINS.sub("", PROJECT.read_text(encoding="utf-8")))
    CONSTRAINTS.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    sys.stdout.write(f"{len(pins)} versions pinned\n")


def resolve(project: str) -> list[str]:
    """Return the versions of all dependencies of a pyproject.toml, with their markers."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(project, encoding="utf-8")
        command = ["uv", "export", "--quiet", "--extra", "kaggle", "--all-groups"]
        command += ["--no-hashes", "--no-emit-project", "--no-annotate", "--no-header"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return sorted(line.strip() for line in done.stdout.splitlines() if "==" in line)


if __name__ == "__main__":
    main()
