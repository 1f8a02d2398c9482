"""PostgreSQL, S3 and MLflow's server as processes of the tests' own, on free ports of this machine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PASSWORD = "planted-database-password"  # noqa: S105 of a database that lives as long as the tests
STARTING_SECONDS = 300
"""Time for a server to start on a busy machine."""


def postgres_tools() -> Path | None:
    """Return the folder of PostgreSQL's programs, Debian's or those on the path; None: not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    return Path(found).parent if found else None


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether something on this machine accepts connections at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a server that was started is ready; show its log if it ends or takes too long."""
    deadline = time.monotonic() + STARTING_SECONDS
    while not ready():
        written = log.read_text(errors="replace")[-2000:]
        assert process.poll() is None, written
        assert time.monotonic() < deadline, written
        time.sleep(0.2)


class Postgres:
    """A PostgreSQL cluster of one superuser with a password; its programs refuse to run as root.

    Args:
        folder: Empty folder, which other users may enter.
    """

    def __init__(self, folder: Path) -> None:
        tools = postgres_tools()
        assert tools is not None
        self._tools, self._folder, self.port = tools, folder, free_port()
        self._as: Sequence[str] = ()
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            self._as = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--")
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        options = [
            "--auth=scram-sha-256",
            "--username=paddy",
            f"--pwfile={secret}",
            "--no-sync",
            "--locale=C",
        ]
        self._run("initdb", f"--pgdata={folder / 'data'}", "--encoding=UTF8", *options)

    @property
    def uri(self) -> str:
        """Address of the database, with its password."""
        return self.uri_with(PASSWORD)

    def uri_with(self, password: str) -> str:
        """Return the address of the database with a password."""
        return f"postgresql+psycopg://paddy:{password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "fsync": "off"}
        settings["unix_socket_directories"] = str(self._folder)
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._control("start", "-o", options, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """End all connections and stop the server."""
        self._control("stop", "--mode=fast")

    def _control(self, action: str, *options: str) -> None:
        self._run("pg_ctl", f"--pgdata={self._folder / 'data'}", "--wait", *options, action)

    def _run(self, tool: str, *options: str) -> None:
        command = [*self._as, str(self._tools / tool), *options]
        subprocess.run(command, check=True, cwd=self._folder, stdout=subprocess.DEVNULL)


class ObjectStore:
    """A server of S3 with one user, whose requests without the right key it refuses.

    Args:
        folder: Folder for its log.
    """

    bucket = "records"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(self.port)]
        # Three requests without a key make the user.
        self._environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3", "PYTHONWARNINGS": "ignore"}
        self._log = folder / "store.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.key = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a program finds the server and its user."""
        return {**self.key, "MLFLOW_S3_ENDPOINT_URL": self._address, "AWS_DEFAULT_REGION": "us-east-1"}

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str = "s3") -> Any:
        """Return Amazon's client of a service."""
        import boto3  # noqa: PLC0415 it takes a second

        return boto3.client(
            service,
            endpoint_url=self._address,
            region_name="us-east-1",
            aws_access_key_id=self.key["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.key["AWS_SECRET_ACCESS_KEY"],
        )

    def start(self) -> None:
        """Start the server, and make its user and the bucket."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        wait_until(lambda: listens(self.port), self._process, self._log)
        users = self.client("iam")
        users.create_user(UserName="mlflow")
        self.allow("s3:*")
        made = users.create_access_key(UserName="mlflow")["AccessKey"]
        self.key = {
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        }
        self.client().create_bucket(Bucket=self.bucket)

    def allow(self, *actions: str) -> None:
        """Let the user do these actions alone, and change what it may do."""
        allowed = {"Effect": "Allow", "Action": ["iam:*", *actions], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self.client("iam").put_user_policy(UserName="mlflow", PolicyName="files", PolicyDocument=policy)

    def empty(self) -> None:
        """Remove the bucket with everything in it."""
        storage = self.client()
        for found in storage.list_objects_v2(Bucket=self.bucket).get("Contents", ()):
            storage.delete_object(Bucket=self.bucket, Key=found["Key"])
        storage.delete_bucket(Bucket=self.bucket)

    def kill(self) -> None:
        """End the server; it holds everything in memory."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class MlflowServer:
    """MLflow's server, with all its processes.

    Args:
        folder: Folder for its log.
        database: Address of its database.
        artifacts: Folder or address of its artifacts.
        environment: Further variables.
    """

    def __init__(
        self, folder: Path, database: str, artifacts: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port, self._log = free_port(), folder / "server.log"
        self._command = [sys.executable, "-m", "mlflow", "server"]
        self._command += ["--serve-artifacts", "--artifacts-destination", artifacts]
        self._command += ["--port", str(self.port), "--workers", "1"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        quiet["MLFLOW_BACKEND_STORE_URI"] = database  # a command line would show the password to other users
        self._environment = {**os.environ, **quiet, "PYTHONWARNINGS": "ignore", **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the server has logged."""
        return self._log.read_text(errors="replace")

    @property
    def uri(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._log.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, self._process, self._log)

    def kill(self) -> None:
        """End all processes of the server at once, also in the middle of a request."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=10) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
