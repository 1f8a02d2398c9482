"""Are the forms of public image competitions opened, searched, answered in the sample's form, or refused?

    python benchmarks/competition_forms.py [NAME ...] [--work FOLDER]

Writes a tiny copy of each form (tests/competitions.py), searches it from the command line with two tiny
members, and compares the submission with the sample. Then the sample's columns are replaced by some that are
no classes: both `data check` and `search` have to refuse it, and nothing may be trained. Prints one row per
form. Takes about a minute each.
"""

import argparse
import csv
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.competitions import COMPETITIONS, Competition
from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.submission.files import check_submission, read_submission

SPACE = """\
search: {trials: 2}
defaults: {pretrained: false, schedule: one_cycle, tta: 1, flip: none, epochs: 2, batch_size: 16, size: 32}
recipes:
  - {name: resnet, arch: test_resnet.r160_in1k, lr: 0.004}
  - {name: convnext, arch: test_convnext.r160_in1k, lr: 0.003}
"""
HEADER = ("form", "opened", "searched", "submission accepted", "wrong form refused", "columns", "seconds")


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("names", nargs="*", choices=[*COMPETITIONS, []], metavar="NAME")
    arguments.add_argument("--work", type=Path, help="Folder for the data; default: a temporary one.")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        print_row(HEADER)
        print_row(["---"] * len(HEADER))
        for name in given.names or COMPETITIONS:
            print_row(measure(name, work / name))


def measure(name: str, folder: Path) -> Iterator[str]:
    """Yield the cells of a form's row."""
    started = time.monotonic()
    data = folder / "data"
    right = COMPETITIONS[name](data)
    (folder / "tiny.yaml").write_text(SPACE, encoding="utf-8")
    options = [word for option, value in right.options.items() for word in typed(option, value)]
    yield name
    opened = open_right(data, right)
    yield "yes" if opened else "no"
    finished = command(folder, "search", "data", "--space", "tiny.yaml", "--name", "night", *options)
    yield "yes" if finished.returncode == 0 else f"no: {last_line(finished)}"
    submission = folder / "runs" / "night" / "submission.csv"
    yield accepted(submission, opened, right)
    spoil(next(path for path in data.iterdir() if "ubmission" in path.name))
    calls = [
        command(folder, "data", "check", "data", *options),
        command(folder, "search", "data", "--space", "tiny.yaml", "--name", "wrong", *options),
    ]
    trained = (folder / "runs" / "wrong").exists()
    yield "yes" if all(call.returncode == 2 for call in calls) and not trained else "no"
    yield ", ".join(right.header[:3]) + (", …" if len(right.header) > 3 else "")
    yield f"{time.monotonic() - started:.0f}"


def typed(option: str, value: object) -> list[str]:
    """Return an option as on the command line."""
    flag = f"--{option.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


def open_right(data: Path, right: Competition) -> Dataset | None:
    """Open the data; None if labels, classes, test images or form are not the right ones."""
    dataset = Dataset.open(data, **right.options)
    same = (
        dataset.labelled.set_index("id")["label"].to_dict() == right.labels
        and dataset.test["id"].tolist() == list(right.test_ids)
        and dataset.submission.kind is right.kind
        and dataset.submission.header == tuple(right.header)
    )
    return dataset if same else None


def accepted(submission: Path, dataset: Dataset | None, right: Competition) -> str:
    """Return whether a submission has the sample's rows and columns, and sound content."""
    if dataset is None or dataset.sample is None:
        return "no"
    try:
        check_submission(submission, dataset.sample, dataset.classes, dataset.submission)
        read = read_submission(submission)
    except InputError as error:
        return f"no: {error}"
    sums = [sum(map(float, row)) for row in read.values] if right.kind == "probabilities" else [1.0]
    off = max(abs(total - 1) for total in sums)
    exclusive = right.task != "multilabel"
    return "yes" if not exclusive or off <= 1e-6 else f"no: rows sum to 1 ± {off:.1e}"


def spoil(sample: Path) -> None:
    """Replace a sample's columns by two that are no classes."""
    with sample.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    wrong = [[rows[0][0], "unknown", "other"], *([row[0], "0.5", "0.5"] for row in rows[1:])]
    sample.write_text("".join(",".join(row) + "\n" for row in wrong), encoding="utf-8")


def command(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the program in a folder."""
    program = [str(Path(sys.executable).with_name("tune-paddy")), *words]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        log.write(f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}\n[{done.returncode}]\n")
    return done


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the last line that a command wrote."""
    return next(iter((done.stderr or done.stdout).strip().splitlines()[::-1]), "")


def print_row(cells: "Iterator[str] | tuple[str, ...] | list[str]") -> None:
    """Print a row of the table, as soon as it is known."""
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
