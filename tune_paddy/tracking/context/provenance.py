"""Where a run comes from: the user, the commit, the process."""

import getpass
import shutil
import socket
import subprocess
from pathlib import Path

import psutil

SOURCE = "mlflow.source."
"""What the names of MLflow's own tags for the origin of a run begin with."""

CLOCK_TOLERANCE = 2.0
"""Seconds by which two readings of a process's start may differ."""


def git_revision(folder: Path | None = None) -> str | None:
    """The commit that is checked out in a folder, with `-dirty` when tracked files differ from it.

    Args:
        folder: Where to look; None: the working folder.

    Returns:
        The hash; None outside a repository, or without git.
    """
    git = shutil.which("git")
    if git is None:
        return None
    # A repository's own settings may name a program to watch its files, which is not to be run for this.
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
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def source_tags(revision: str | None) -> dict[str, str]:
    """MLflow's own tags for where a run comes from; its pages have columns for them."""
    tags = {"mlflow.user": user_name(), SOURCE + "name": "tune-paddy", SOURCE + "type": "LOCAL"}
    return tags | ({SOURCE + "git.commit": revision} if revision else {})


def user_name() -> str:
    """Who runs this; `unknown` in a container whose user has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def this_process() -> str:
    """Host, process id and start: a name that no other process has."""
    process = psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{_start(process):.2f}"


def is_gone(process: str) -> bool:
    """Whether the process named by `this_process` is known to have ended.

    Of a process on another machine nothing is known; an empty or broken name is nobody's.
    """
    host, _, rest = process.rpartition(":")[0].rpartition(":")
    start = process.rpartition(":")[2]
    if host and host != socket.gethostname():
        return False
    try:
        return abs(_start(psutil.Process(int(rest))) - float(start)) > CLOCK_TOLERANCE
    except (psutil.Error, ValueError):
        return True


def _start(process: psutil.Process) -> float:
    """Seconds from the machine's start to the process's: setting the clock does not change it."""
    boot = psutil.boot_time()
    return process.create_time() - boot
