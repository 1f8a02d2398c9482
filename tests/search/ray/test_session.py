import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
import ray

from tests.capabilities import becomes_another_user
from tests.search.test_secrets import files_with
from tune_paddy.data.system.owned_folders import OWNER, OWNER_TEXT, PREFIX
from tune_paddy.search.ray import reaper
from tune_paddy.search.ray.internals import own_processes

T = TypeVar("T")

ASK = """
import sys
from ray._raylet import GcsClient
print(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=120))
"""

pytestmark = pytest.mark.usefixtures("ray_running")


def of_each(processes: Iterable[psutil.Process], read: Callable[[psutil.Process], T]) -> list[T]:
    """Return a value of each process; skip workers that end meanwhile."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.append(read(process))
    return found


def session_of(process: psutil.Process) -> int:
    """Return the session of a process.

    Raises:
        NoSuchProcess: It has ended.
    """
    try:
        return os.getsid(process.pid)
    except ProcessLookupError as error:
        raise psutil.NoSuchProcess(process.pid) from error


def worker_pid() -> int:
    return os.getpid()


def rays_processes() -> list[psutil.Process]:
    """Return Ray's processes and its reaper, a worker included, but no process that another test left."""
    worker = ray.get(ray.remote(worker_pid).remote())
    found = [process for process in psutil.Process().children() if is_reaper(process)]
    for leader in own_processes().values():
        found += [leader, *leader.children(recursive=True)]
    assert worker in {process.pid for process in found}
    return found


def is_reaper(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return reaper.__file__ in process.cmdline()
    return False


def processes() -> list[psutil.Process]:
    """Return this process and all of Ray's."""
    return [psutil.Process(), *rays_processes()]


def test_every_socket_is_bound_to_this_machine_alone() -> None:
    sockets = [
        connection.laddr.ip
        for connections in of_each(processes(), lambda process: process.net_connections("inet"))
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(sockets) >= 5
    assert {ip.removeprefix("::ffff:") for ip in sockets} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_for_the_whole_job_leave_ray_running(number: signal.Signals) -> None:
    """Slurm and systemd signal every process of a job, of whatever session and group."""
    mine = rays_processes()
    assert os.getsid(0) not in of_each(mine, session_of)
    for process in mine:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    worker = ray.get(ray.remote(worker_pid).remote(), timeout=600)
    assert worker in {process.pid for process in rays_processes()}
    assert {process.pid for process in own_processes().values()} <= {process.pid for process in mine}
    assert all(process.status() != psutil.STATUS_ZOMBIE for process in own_processes().values())


@pytest.mark.parametrize(
    ("environment", "let_in"),
    [
        ({}, True),
        ({"RAY_AUTH_TOKEN": "0" * 64}, False),
        ({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": ""}, False),
    ],
)
def test_only_clients_with_the_token_are_accepted(environment: dict[str, str], let_in: bool) -> None:
    command = [sys.executable, "-c", ASK, ray.get_runtime_context().gcs_address]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert ("ray_cluster_id" in done.stdout) == let_in
    assert let_in or "oken" in done.stderr


def test_no_command_line_and_no_file_contains_the_token() -> None:
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    lines = of_each(processes(), lambda process: " ".join(process.cmdline()))
    assert len(lines) > 3
    assert not [line for line in lines if token in line]
    assert not files_with(session_folder(), token.encode())


def test_no_other_user_can_enter_the_folder_of_rays_sockets_and_logs() -> None:
    own = session_folder().parent.parent
    assert own.name.startswith(PREFIX)
    assert own.stat().st_mode & 0o777 == 0o700


SWEEP = """
import os, sys, tune_paddy.data.system.locks  # the other user may not be able to read the environment
from pathlib import Path
from tune_paddy.data.system.owned_folders import sweep
if os.geteuid() == 0:
    os.setuid(65534)
sweep(Path(sys.argv[1]))
"""


def test_folders_of_killed_sessions_are_removed_and_inaccessible_ones_are_skipped() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        Path(parent).chmod(0o777)
        left, closed = Path(parent, f"{PREFIX}left"), Path(parent, f"{PREFIX}closed")
        for folder in (left, closed):
            folder.mkdir(mode=0o700)
            (folder / OWNER).write_bytes(OWNER_TEXT)
            (folder / OWNER).chmod(0o666)
        if becomes_another_user():
            os.chown(left, 65534, 65534)
        closed.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", SWEEP, parent], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert [path.name for path in Path(parent).iterdir()] == [closed.name]
        closed.chmod(0o700)


def session_folder() -> Path:
    return Path(ray._private.worker._global_node.get_session_dir_path())


def test_there_is_no_dashboard_no_log_monitor_and_no_autoscaler() -> None:
    lines = of_each(processes(), lambda process: " ".join(process.cmdline()))
    unused = ("dashboard.py", "log_monitor.py", "monitor.py")
    assert not [line for line in lines if any(f"/{name}" in line for name in unused)]
    assert not ray._private.worker._global_node.webui_url
