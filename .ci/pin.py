"""Pin the tested versions: `uv run python .ci/pin.py` rewrites `.ci/pins/*.txt`.

The script resolves the project for every platform without the current pins. Run the tests afterwards, and
commit the file only if they pass.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
FOLDER = PROJECT.parent / ".ci" / "pins"
PINS = re.compile(r"^.*\btune-paddy-pins\b.*\n", re.MULTILINE)


def main() -> None:
    """Resolve the project, then overwrite both files; `docs.txt` has what the documentation alone needs."""
    project = PINS.sub("", PROJECT.read_text(encoding="utf-8"))
    common = resolve(project, "--no-group", "docs")
    write("constraints.txt", common)
    write("docs.txt", [pin for pin in resolve(project) if pin not in set(common)])


def write(name: str, pins: list[str]) -> None:
    """Write one version per line."""
    (FOLDER / name).write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    sys.stdout.write(f"{name}: {len(pins)} versions\n")


def resolve(project: str, *options: str) -> list[str]:
    """Return the versions of all dependencies of a pyproject.toml, with their markers.

    Args:
        project: Content of pyproject.toml, without pins.
        *options: Further options of `uv export`.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(project, encoding="utf-8")
        command = ["uv", "export", "--quiet", "--extra", "kaggle", "--all-groups", *options]
        command += ["--no-hashes", "--no-emit-project", "--no-annotate", "--no-header"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return sorted(line.strip() for line in done.stdout.splitlines() if "==" in line)


if __name__ == "__main__":
    main()
