"""Faults of commands on a finished search, and of their inputs; a part of `faults.py`.

Every fault has a copy of the search. It survives if the command ends with the expected exit status, says the
reason in one line, and the same command on sound files succeeds afterwards without anything left over.
`left` counts folders that only a killed command may leave; the next command removes them.
"""

import base64
import http.server
import io
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cluster.machines import answers, free_port
from tests.faults.harness import first_on_path, wait_for
from tune_paddy.data.system.own_output import MARKER, SAMPLE_MARKER

PROGRAM = [sys.executable, "-c", "from tune_paddy.cli import program; program()"]
SELECT = ("select", "demo-1")
MOST_SECONDS = 60
NO_LOCKS = "import fcntl\ndef flock(*_): raise OSError(37, 'No locks available')\nfcntl.flock = flock\n"
LEFT = (".tune_paddy~*", "tune_paddy~*", ".*.part", ".*.partial", ".unfinished-*", ".artifact.uploading.*")


@dataclass
class Scene:
    """A copy of a finished search to break.

    Attributes:
        folder: Working folder; it holds `mlflow.db`, `runs`, and the export `model`.
        environment: Variables of the commands.
        limits: Shell words before the command, such as `ulimit -v 1000000;`.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    limits: str = ""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in its own session."""
        words = ["bash", "-c", f'{self.limits} exec "$@"', "bash", *PROGRAM, *arguments]
        variables = {**os.environ, "TMPDIR": str(self.folder / "tmp"), **self.environment}
        return subprocess.Popen(
            words, cwd=self.folder, env=variables, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit status and its output."""
        process = self.start(*arguments)
        text, _ = process.communicate(timeout=600)
        return process.returncode, text

    @property
    def member(self) -> Path:
        """Folder of an exported member."""
        return next((self.folder / "model").rglob("weights.safetensors")).parent

    @property
    def manifest(self) -> Path:
        """Manifest of the export."""
        return next((self.folder / "model").rglob("ensemble.json"))

    def mend(self, sound: Path) -> None:
        """Put sound files back, except those of the search, and take back limits and variables."""
        self.environment, self.limits = {}, ""
        for name in ("mlflow.db", "mlflow.db-wal", "mlflow.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        for name in ("model", "bad"):
            shutil.rmtree(self.folder / name)
        shutil.copyfile(sound / "mlflow.db", self.folder / "mlflow.db")
        move_record(sound, self.folder)
        shutil.copytree(sound / "model", self.folder / "model")
        (self.folder / "bad").mkdir()
        for name in ("a", "b"):
            class_folder(self.folder / "bad" / name)

    def left(self) -> list[str]:
        """Return the files that a killed command left."""
        found = [path for pattern in LEFT for path in self.folder.rglob(pattern)]
        return [path.name for path in found if path.name not in (MARKER, SAMPLE_MARKER)]


@dataclass(frozen=True)
class Fault:
    """A fault, the command that meets it, and what is expected.

    Attributes:
        name: Name in the table.
        arguments: Command.
        statuses: Allowed exit statuses.
        prepare: Function that breaks a scene.
        words: Part of the output.
        again: Command on sound files afterwards; None: the same.
    """

    name: str
    arguments: tuple[str, ...]
    statuses: tuple[int, ...]
    prepare: Callable[[Scene], object]
    words: str = ""
    again: tuple[str, ...] | None = None

    def inject(self, scene: Scene) -> tuple[bool, str]:
        """Return whether the command ended as expected, with one line of reason, and what it said."""
        self.prepare(scene)
        status, text = scene.run(*self.arguments)
        return status in self.statuses and self.words in text and has_reason(status, text), said(status, text)


def has_reason(status: int, text: str) -> bool:
    """Return whether a failed command ended with one line that says why, and a list that belongs to it."""
    lines = text.strip().splitlines()
    reasons = [line for line in lines if line.startswith("error: ")]
    others = [line for line in lines if not line.startswith("  ")]
    odd = "Traceback" in text or "internal error" in text
    return not odd and (status == 0 or (len(reasons) == 1 and others[-1] == reasons[0]))


def said(status: int, text: str) -> str:
    """Return a command's exit status and last line."""
    return f"{status}: {(text.strip().splitlines() or [''])[-1][:150]}"


def zeroed_page(scene: Scene) -> None:
    content = bytearray((scene.folder / "mlflow.db").read_bytes())
    content[8 * 4096 : 24 * 4096] = bytes(16 * 4096)
    (scene.folder / "mlflow.db").write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swollen(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(40 * 2**30)


def configured(scene: Scene, key: str, value: object) -> None:
    path = scene.member / "member.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


def gigantic(scene: Scene) -> None:
    config = json.loads((scene.member / "member.json").read_text())["config"]
    configured(scene, "config", {**config, "arch": "vit_gigantic_patch14_224", "size": [224, 224]})


def many_classes(scene: Scene) -> None:
    configured(scene, "classes", list(map(str, range(10**6))))


def escapes(scene: Scene) -> None:
    classes_of(scene, b"a\x1b[31m", b"b")


def wide_table(scene: Scene) -> None:
    names = ",".join(map(str, range(60_000)))
    (scene.folder / "bad" / "train.csv").write_text(f"image_id,label,{names}\n1.png,a{',1' * 60_000}\n")


def long_table(scene: Scene) -> None:
    rows = "".join(f"{row}.jpg,c{row % 3}\n" for row in range(10**6))
    (scene.folder / "bad" / "train.csv").write_text(f"image_id,label\n{rows}")


def classes_of(scene: Scene, *names: bytes) -> None:
    for name in names:
        class_folder(scene.folder / "bad" / os.fsdecode(name))


def class_folder(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(list(os.fsencode(folder.name)))
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{number}.png")


def bomb(scene: Scene) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IDAT"
    (scene.folder / "bad" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def large_images(scene: Scene) -> None:
    for number in range(4):
        Image.new("RGB", (9_400, 9_400)).save(scene.folder / "bad" / f"{number}.png")
    scene.limits = "ulimit -v 9000000;"


def request(url: str) -> None:
    """Send images to a server that is killed before it can answer."""
    content = io.BytesIO()
    Image.effect_noise((2000, 2000), 60).save(content, "JPEG")
    records = [{"image": base64.b64encode(content.getvalue()).decode()}] * 20
    body = json.dumps({"dataframe_records": records}).encode()
    headers = {"Content-Type": "application/json"}
    with suppress(OSError):
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60).close()  # noqa: S310


@contextmanager
def server(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve one answer to everything; yield the address."""
    methods = {"do_GET": answer, "do_POST": answer, "log_message": lambda *_: None}
    handler = type("Handler", (http.server.BaseHTTPRequestHandler,), methods)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def failing(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_error(500)


def hanging(_: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(300)


def variables(**values: str) -> Callable[[Scene], object]:
    return lambda scene: scene.environment.update(values)


def without_locks(scene: Scene) -> None:
    (scene.folder / "patched").mkdir()
    (scene.folder / "patched" / "sitecustomize.py").write_text(NO_LOCKS)
    scene.environment["PYTHONPATH"] = first_on_path(scene.folder / "patched")


def long_tmp(scene: Scene) -> None:
    folder = scene.folder / ("x" * 200) / ("y" * 200)
    folder.mkdir(parents=True)
    scene.environment["TMPDIR"] = str(folder)


def limited(words: str) -> Callable[[Scene], None]:
    def prepare(scene: Scene) -> None:
        scene.limits = words

    return prepare


PREDICT, CHECK = ("predict", "model", "bad"), ("data", "check", "bad")
EXPORT = ("export", "demo-1", "exported")
REPORT, SHOW = ("report", "demo-1", "--no-open"), ("show", "--tracking-uri", "http://127.0.0.1:9")
FAULTS = (
    Fault("zeroed pages of the database", SELECT, (2,), zeroed_page, "is damaged"),
    Fault("half a database", SELECT, (2,), lambda s: cut(s.folder / "mlflow.db"), "mlflow.db"),
    Fault("no database", SELECT, (2,), lambda s: (s.folder / "mlflow.db").unlink(), "no record here"),
    Fault("database that is a text", SELECT, (2,), lambda s: (s.folder / "mlflow.db").write_text("x" * 9999)),
    Fault("HOME empty", SELECT, (0,), variables(HOME="")),
    Fault("HOME that cannot be written", SELECT, (0,), variables(HOME="/proc")),
    Fault("TMPDIR of 400 letters", SELECT, (0,), long_tmp),
    Fault("TMPDIR that is missing", SELECT, (0,), variables(TMPDIR="/no/such")),
    Fault("no locks (ENOLCK)", SELECT, (1,), without_locks, "cannot be locked"),
    Fault("file size limit reached", SELECT, (1, 2), limited("trap '' XFSZ; ulimit -f 4;")),
    Fault("no memory for imports", PREDICT, (1,), limited("ulimit -v 2000000;"), "out of memory"),
    Fault("half an ensemble.json", PREDICT, (2,), lambda s: cut(s.manifest)),
    Fault("half of a member's weights", PREDICT, (2,), lambda s: cut(s.member / "weights.safetensors")),
    Fault("weights of 40 GiB, sparse", PREDICT, (2,), lambda s: swollen(s.member / "weights.safetensors")),
    Fault("member of a gigantic network", PREDICT, (2,), gigantic, "does not match"),
    Fault("member of a million classes", PREDICT, (2,), many_classes),
    Fault("missing member.json", PREDICT, (2,), lambda s: (s.member / "member.json").unlink()),
    Fault("PNG that claims 900 Mpx", PREDICT, (1, 2), bomb),
    Fault("four PNGs of 88 Mpx, 9 GB of addresses", PREDICT, (0,), large_images),
    Fault("table of 60,000 columns", CHECK, (2,), wide_table, "columns"),
    Fault("table of a million missing images", CHECK, (2,), long_table, "missing"),
    Fault("class folder in Latin-1", CHECK, (2,), lambda s: classes_of(s, b"caf\xe9", b"b"), "not UTF-8"),
    Fault("class names with terminal escapes", CHECK, (0,), escapes, r"\x1b"),
    Fault("image that is a pipe", PREDICT, (1, 2), lambda s: os.mkfifo(s.folder / "bad" / "1.png")),
    Fault("no server at the address", SHOW, (1,), bool, "no MLflow server", ("show", "demo-1")),
)  # fmt: skip

KILLS = (
    (SELECT, signal.SIGKILL, 20),
    (REPORT, signal.SIGKILL, 20),
    (EXPORT, signal.SIGKILL, 7),
    (PREDICT, signal.SIGKILL, 7),
    (SELECT, signal.SIGTERM, 3),
)
"""Command, signal, and number of moments."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a fault; the columns of the table.

    Attributes:
        fault: Name.
        injected: How often.
        survived: How often the command ended as expected and worked afterwards.
        left: Number of files left over at the end.
    """

    fault: str
    injected: int
    survived: int
    left: int


class Commands:
    """Faults of commands, each on a copy of a finished search.

    Args:
        finished: Working folder of the finished search `demo-1`, with its export `model`.
        root: Folder for the copies.
    """

    def __init__(self, finished: Path, root: Path) -> None:
        self._finished, self._root, self._number = finished, root, 0

    def scene(self) -> Scene:
        """Copy the finished search."""
        self._number += 1
        folder = self._root / f"scene-{self._number}"
        shutil.copytree(self._finished, folder, symlinks=True)
        move_record(self._finished, folder)
        for name in ("bad", "tmp"):
            (folder / name).mkdir()
        Image.new("RGB", (32, 32)).save(folder / "bad" / "sound.png")
        return Scene(folder)

    def kinds(self, rng: np.random.Generator) -> dict[str, Callable[[], Outcome]]:
        """Return the name of every kind of fault, and the function that injects it."""
        kinds = {fault.name: partial(self.once, fault) for fault in FAULTS}
        kinds |= {
            name: partial(self.server_of, name, answer)
            for name, answer in (
                ("an MLflow server that answers 500", failing),
                ("an MLflow server that hangs", hanging),
            )
        }
        kinds["select twice at once"] = self.twice_at_once
        kinds["working folder deleted meanwhile"] = self.working_folder_deleted
        kinds["SIGKILL to a server that answers"] = self.server_killed
        for command, number, times in KILLS:
            name = f"{signal.Signals(number).name} to {command[0]}, {times} moments"
            kinds[name] = partial(self.killed, name, command, rng, number, times)
        return kinds

    def once(self, fault: Fault) -> Outcome:
        """Inject one fault; print what the command said if it did not end as expected."""
        scene = self.scene()
        survived, words = fault.inject(scene)
        if survived:
            scene.mend(self._finished)
            status, text = scene.run(*(fault.again or fault.arguments))
            survived, words = status == 0, f"on sound files {said(status, text)}"
        return self._outcome(fault.name, scene, 1, int(survived), words)

    def _outcome(self, name: str, scene: Scene, injected: int, survived: int, words: str) -> Outcome:
        left = scene.left()
        if survived < injected or left:
            print(f"{name}: {words}; left: {left}", flush=True)
        shutil.rmtree(scene.folder, ignore_errors=True)
        return Outcome(name, injected, survived, len(left))

    def server_of(self, name: str, answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Outcome:
        """Ask a broken server, with MLflow's variables as they are; a minute is too long for an answer."""
        scene, started = self.scene(), time.monotonic()
        with server(answer) as address:
            status, text = scene.run("show", "--tracking-uri", address)
        sound = status == 1 and has_reason(status, text) and time.monotonic() - started < MOST_SECONDS
        return self._outcome(name, scene, 1, int(sound), said(status, text))

    def twice_at_once(self) -> Outcome:
        """Select twice at the same time, with different methods; both ensembles can be exported."""
        scene, methods = self.scene(), ("greedy", "uniform")
        commands = [scene.start(*SELECT, "--method", method, "--name", method) for method in methods]
        texts = [command.communicate(timeout=600)[0] for command in commands]
        sound = all(command.returncode == 0 for command in commands)
        kept = [scene.run("export", "demo-1", f"of-{name}", "--ensemble", name)[0] == 0 for name in methods]
        return self._outcome("select twice at once", scene, 1, int(sound and all(kept)), texts[-1][-200:])

    def working_folder_deleted(self) -> Outcome:
        """Delete the working folder while a command runs."""
        scene = self.scene()
        command = scene.start(*SELECT)
        time.sleep(2)
        while scene.folder.exists():  # the command may write between the removal of a file and of its folder
            shutil.rmtree(scene.folder, ignore_errors=True)
        text, _ = command.communicate(timeout=600)
        sound = command.returncode in (0, 1, 2) and has_reason(command.returncode, text)
        return self._outcome("working folder deleted meanwhile", scene, 1, int(sound), text[-200:])

    def server_killed(self) -> Outcome:
        """Kill a server while the images of a request are in files; the next command removes them."""
        scene, address = self.scene(), f"http://127.0.0.1:{(port := free_port())}"
        words = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "model", "--env-manager", "local"]
        server = subprocess.Popen(
            [*words, "--port", str(port)], cwd=scene.folder, start_new_session=True,
            env={**os.environ, "TMPDIR": str(scene.folder / "tmp")},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(lambda: answers(f"{address}/ping"), 300)
            threading.Thread(target=request, args=[f"{address}/invocations"]).start()
            wait_for(lambda: any("tune_paddy~" in name for name in scene.left()), 60)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        left = scene.left()
        status, text = scene.run("show", "demo-1")
        sound = bool(left) and status == 0
        return self._outcome("SIGKILL to a server that answers", scene, 1, int(sound), said(status, text))

    def killed(
        self, name: str, command: tuple[str, ...], rng: np.random.Generator, number: int, times: int
    ) -> Outcome:
        """End a command at moments spread evenly over its time, then run it whole."""
        scene, started = self.scene(), time.monotonic()
        scene.run(*command)
        seconds, survived = time.monotonic() - started, 0
        for part in range(times):
            shutil.rmtree(scene.folder / "exported", ignore_errors=True)
            process = scene.start(*command)
            time.sleep(seconds * (part + rng.uniform()) / times)
            process.send_signal(number)
            process.communicate(timeout=600)
            expected = (-number, 128 + number, 0)
            survived += process.returncode in expected
        shutil.rmtree(scene.folder / "exported", ignore_errors=True)
        status, text = scene.run(*command)
        return self._outcome(name, scene, times, survived if status == 0 else 0, said(status, text))


def move_record(before: Path, now: Path) -> None:
    """Replace a working folder's path in the record of its copy: a command must not write to the original."""
    columns = {"runs": "artifact_uri", "experiments": "artifact_location", "tags": "value"}
    with closing(sqlite3.connect(now / "mlflow.db")) as database, database:
        for table, column in columns.items():
            # The names are the constants above.
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(before), str(now))
            )


def finished_search(root: Path) -> Path:
    """Return the working folder of a finished demo with an export."""
    folder = root / "finished"
    folder.mkdir()
    variables: Mapping[str, str] = {**os.environ}
    for arguments in (("demo",), ("export", "demo-1", "model")):
        subprocess.run([*PROGRAM, *arguments], cwd=folder, env=variables, check=True, capture_output=True)
    return folder
