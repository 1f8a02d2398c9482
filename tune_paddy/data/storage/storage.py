"""A place that all machines of a search can reach: a shared folder, or a prefix of an object store.

Files are written completely or not at all: object stores do that by themselves; elsewhere, a temporary file
is renamed. The file systems are pyarrow's, as in Ray; credentials come from their environment variables.
Calls wait while the storage does not answer, see `outages`.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from pyarrow import ArrowException, fs

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.storage.outages import seconds_to_repeat
from tune_paddy.data.system.patience import impatient
from tune_paddy.data.system.repetition import Failure, repeated
from tune_paddy.data.system.text import shown, strip_credentials

PARTIAL = ".part"
"""Suffix of files that are not written completely; their names begin with a dot."""

_ATOMIC = frozenset(("s3", "gcs", "abfs"))
"""pyarrow's names of file systems whose objects appear when they are complete."""

_CHUNK = 2**20
"""Size of the parts in which files are copied, in bytes."""


P = ParamSpec("P")
T = TypeVar("T")


def _repeated(
    done: str,
) -> Callable[[Callable[Concatenate["Storage", P], T]], Callable[Concatenate["Storage", P], T]]:
    """Return a decorator of methods that lets a method wait while the storage is away, see `outages`.

    Args:
        done: What the method does with a file, for messages: it is read, or written.
    """

    def decorate(
        method: Callable[Concatenate["Storage", P], T],
    ) -> Callable[Concatenate["Storage", P], T]:
        @wraps(method)
        def call(storage: "Storage", /, *args: P.args, **kwargs: P.kwargs) -> T:
            return repeated(
                lambda: method(storage, *args, **kwargs),
                storage.address,
                kinds=(OSError, ArrowException),
                judge=partial(storage._failure, done),
            )

        return call

    return decorate


@dataclass(frozen=True)
class Stamp:
    """What changes when a stored file is replaced.

    Attributes:
        size: Size in bytes.
        written: Time of the last change by the storage's clock, in ns.
    """

    size: int
    written: int


@dataclass(frozen=True)
class Storage:
    """A folder of a storage; picklable, without credentials.

    Attributes:
        address: Absolute path, or an address such as `s3://bucket/prefix`.
        inside: Path of the folder below the address; empty: the address itself.
    """

    address: str
    inside: str = ""

    @classmethod
    def at(cls, address: str) -> "Storage":
        """Return the storage at an address; nothing is opened.

        Raises:
            InputError: The address has credentials, or is neither an absolute path nor an address.
        """
        if strip_credentials(address) != address or "secret" in urlsplit(address).query:
            raise InputError(
                f"storage: {strip_credentials(address).partition('?')[0]} contains credentials, which would "
                "be recorded; give the address without them, and set variables such as AWS_ACCESS_KEY_ID "
                "on each machine",
                options=("storage",),
            )
        if not ("://" in address or Path(address).is_absolute()):
            raise InputError(
                f"storage: {shown(address)} is no address; give an absolute path of a shared folder, or an "
                "address such as s3://bucket/prefix",
                options=("storage",),
            )
        return cls(address.rstrip("/") or "/")

    def __str__(self) -> str:
        """Return the address of this folder."""
        base, _, query = self.address.partition("?")
        return "/".join(filter(None, (base.rstrip("/"), self.inside))) + (f"?{query}" if query else "")

    def folder(self, *names: str) -> "Storage":
        """Return a folder in this one."""
        return Storage(self.address, "/".join(filter(None, (self.inside, *names))))

    @property
    def parent(self) -> "Storage":
        """The folder that contains this one, below the address."""
        return Storage(self.address, self.inside.rpartition("/")[0])

    def check(self) -> None:
        """Write and remove a small file.

        Raises:
            InputError: The storage cannot be reached or written.
        """
        name = f".probe-{secrets.token_hex(4)}"
        try:
            with impatient():  # a person waits for the answer
                self.write(name, b"tune_paddy")
                self.remove(name)
        except TunePaddyError as error:
            raise InputError(f"storage: {error}", options=("storage",)) from error

    @_repeated("read")
    def files(self) -> dict[str, Stamp]:
        """Return all files in this folder and below, without partial ones: path below it → stamp.

        Raises:
            TunePaddyError: The storage cannot be read.
        """
        system, top = self._opened()
        found = system.get_file_info(fs.FileSelector(top, recursive=True, allow_not_found=True))
        return {
            info.path.removeprefix(top).lstrip("/"): _stamp(info)
            for info in found
            if info.type == fs.FileType.File and not _is_partial(info.base_name)
        }

    @_repeated("read")
    def stamp(self, name: str) -> Stamp | None:
        """Return the stamp of a file; None: there is no such file.

        Raises:
            TunePaddyError: The storage cannot be read.
        """
        system, top = self._opened()
        info = system.get_file_info(f"{top}/{name}")
        return _stamp(info) if info.type == fs.FileType.File else None

    @_repeated("read")
    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None: there is no such file.

        Raises:
            TunePaddyError: The storage cannot be read.
        """
        system, top = self._opened()
        try:
            with system.open_input_stream(f"{top}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    @_repeated("written")
    def write(self, name: str, content: bytes) -> None:
        """Write a file completely or not at all; its folders are created.

        Raises:
            TunePaddyError: The storage cannot be written.
        """

        def is_part(system: Any, path: str) -> bool:
            with system.open_input_stream(path) as stream:
                found = stream.read(len(content) + 1)
            return len(found) < len(content) and content.startswith(found)

        with (
            self._complete(name, is_part) as (system, path),
            system.open_output_stream(path) as stream,
        ):
            stream.write(content)

    @_repeated("written")
    def upload(self, file: Path, name: str) -> None:
        """Copy a file of this machine into the storage, completely or not at all.

        Raises:
            TunePaddyError: The file cannot be read or changes meanwhile, or the storage cannot be written.
        """
        before = self.stamp(name)

        def is_part(system: Any, path: str) -> bool:
            return _stamp(system.get_file_info(path)) != before

        with self._complete(name, is_part) as (system, path):
            fs.copy_files(
                str(file.absolute()),
                path,
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=system,
                chunk_size=_CHUNK,
                use_threads=False,
            )
            if system.get_file_info(path).size != file.stat().st_size:
                raise OSError(f"{shown(file)} changed while it was copied")

    @_repeated("read")
    def download(self, name: str, file: Path) -> None:
        """Copy a file of the storage to this machine, completely or not at all; its folders are created.

        Raises:
            TunePaddyError: The storage cannot be read, or this machine's disk cannot be written.
        """
        partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}{PARTIAL}")
        system, top = self._opened()
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            fs.copy_files(
                f"{top}/{name}",
                str(partial.absolute()),
                source_filesystem=system,
                destination_filesystem=fs.LocalFileSystem(),
                chunk_size=_CHUNK,
                use_threads=False,
            )
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)

    @_repeated("written")
    def remove(self, name: str) -> None:
        """Remove a file; a missing one is no error.

        Raises:
            TunePaddyError: The storage cannot be written.
        """
        with suppress(FileNotFoundError):
            system, top = self._opened()
            system.delete_file(f"{top}/{name}")

    @contextmanager
    def _complete(self, name: str, is_part: Callable[[Any, str], bool]) -> Iterator[tuple[Any, str]]:
        """Yield a file system and the path to write to; the file gets its name when the block ends.

        Args:
            name: Name of the file.
            is_part: Function that says, after an error, whether the file system has a part of the content at
                a path. pyarrow closes a stream also after an error, for example one of the file that is
                read, and an object store then publishes what was written.
        """
        system, top = self._opened()
        path = f"{top}/{name}"
        if system.type_name in _ATOMIC:
            with _removed_after_error(system, path, is_part):
                yield system, path
            return
        folder, _, last = path.rpartition("/")
        partial = f"{folder}/.{last}.{secrets.token_hex(4)}{PARTIAL}"
        system.create_dir(folder, recursive=True)
        with _removed_after_error(system, partial, lambda *_: True):
            yield system, partial
            system.move(partial, path)

    def _opened(self) -> tuple[Any, str]:
        """Return pyarrow's file system, and the path of this folder in it."""
        system, top = _file_system(self.address)
        return system, "/".join(filter(None, (top.rstrip("/"), self.inside)))

    def _failure(self, done: str, error: BaseException) -> Failure:
        """Return one of pyarrow's errors in one line."""
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        words = (
            f"{self} cannot be {done}: {strip_credentials(reason)}; check the address, the variables with "
            "its credentials, and whether it is full"
        )
        return Failure(words, seconds_to_repeat(error))


@contextmanager
def _removed_after_error(system: Any, path: str, is_part: Callable[[Any, str], bool]) -> Iterator[None]:
    """Remove a file if the block ends with an error and the file holds a part of its content."""
    try:
        yield
    except BaseException:
        with suppress(OSError, ArrowException):  # usually there is none
            if is_part(system, path):
                system.delete_file(path)
        raise


@cache
def _file_system(address: str) -> tuple[Any, str]:
    """Return pyarrow's file system for an address, and the path in it; connect to it if that is needed."""
    system, top = fs.FileSystem.from_uri(_with_options(address))
    return system, str(top)


def _with_options(address: str) -> str:
    """Return an address of S3 with pyarrow's options; others as they are.

    The region is that of the environment: otherwise pyarrow asks Amazon for it. A small file is one request
    instead of three.
    """
    parts = urlsplit(address)
    if parts.scheme != "s3":
        return address
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options = {"allow_delayed_open": "true"} | ({"region": region} if region else {})
    return parts._replace(query=urlencode(options | dict(parse_qsl(parts.query)))).geturl()


def _stamp(info: Any) -> Stamp:
    return Stamp(int(info.size or 0), int(info.mtime_ns or 0))


def _is_partial(name: str) -> bool:
    return name.startswith(".") and name.endswith(PARTIAL)
