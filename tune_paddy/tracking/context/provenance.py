"""Origin of a run: its user, commit and process."""

import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path

import psutil

SOURCE = "mlflow.source."
"""Prefix of MLflow's own tags for the origin of a run."""

CLOCK_TOLERANCE = 2.0
"""Largest difference between two readings of a process's start, in seconds."""

_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables that tell git which repository to use, wherever it runs."""


def git_revision(folder: Path | None = None) -> str | None:
    """Return the commit that is checked out in a folder, with `-dirty` if tracked files differ from it.

    Args:
        folder: Folder in a repository; None: the working folder.

    Returns:
        The commit's hash; None outside a repository, or without git.
    """
    git = shutil.which("git")
    if git is None:
        return None
    # A hook of git that runs this program names the hook's repository.
    environment = {name: value for name, value in os.environ.items() if name not in _REPOSITORY}
    # A repository's settings may name a program that monitors its files; git must not run it here.
    command = [
        git,
        "-c",
        "core.fsmonitor=false",
        "describe",
        "--always",
        "--abbrev=40",
        "--exclude=*",
        "--dirty",
    ]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def source_tags(revision: str | None) -> dict[str, str]:
    """Return MLflow's own tags for the origin of a run; its pages have columns for them."""
    tags = {"mlflow.user": user_name(), SOURCE + "name": "tune-paddy", SOURCE + "type": "LOCAL"}
    return tags | ({SOURCE + "git.commit": revision} if revision else {})


def user_name() -> str:
    """Return the name of the user; `unknown` in a container whose user has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def this_process() -> str:
    """Return a unique name of this process: host, process id and start time."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{_start(process):.2f}"


def host_of(process: str) -> str:
    """Return the host in the name of a process; empty if it names none.

    >>> host_of("lab-3:4711:86.20")
    'lab-3'
    """
    return process.rpartition(":")[0].rpartition(":")[0]


def is_gone(process: str) -> bool:
    """Whether a process, named by its `this_process`, is known to have ended.

    Return False for a process on another machine, which cannot be checked, and True for an invalid name. A
    zombie has ended: the first process of a container may never collect it.
    """
    host, start = host_of(process), process.rpartition(":")[2]
    rest = process.rpartition(":")[0].rpartition(":")[2]
    if host and host != socket.gethostname():
        return False
    try:
        found = psutil.Process(int(rest))
        another = abs(_start(found) - float(start)) > CLOCK_TOLERANCE
        return another or found.status() == psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return True


def _start(process: psutil.Process) -> float:
    """Return the seconds from the machine's boot to the process's start, which setting the clock keeps."""
    boot = psutil.boot_time()
    return process.create_time() - boot
