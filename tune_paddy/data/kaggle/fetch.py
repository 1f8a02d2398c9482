"""A competition's images: mounted, already here, or downloaded, and proved to be complete."""

import json
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.kaggle.archive import unpack_zip
from tune_paddy.data.kaggle.client import COMPETITION, KaggleClient, explain
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.text import listed, shown

MANIFEST = ".fetched.json"
"""What a fetched folder says of itself: its competition, and size and CRC-32 of every file of the archive."""

MOUNT = Path("/kaggle/input")
"""Where Kaggle's own machines have the data of a notebook's competitions."""

_CHUNK = 2**20


def fetch_competition(
    competition: str,
    folder: Path,
    *,
    client: Callable[[], KaggleClient],
    quiet: bool = True,
    say: Callable[[str], None] = lambda line: None,
    mount: Path = MOUNT,
) -> Path:
    """Bring a competition's files here, or find them.

    An interrupted download goes on where it stopped. The archive is unpacked beside the folder, which
    appears when every file was read back against its checksum; then the archive is removed.

    Args:
        competition: Kaggle's name of it, as in its address.
        folder: Where the files go; missing or empty, or what an earlier call has made of it.
        client: Returns Kaggle's client; only called when something must be downloaded.
        quiet: Whether the client shows no progress.
        say: Is told in a line what is done.
        mount: Kaggle's own folder of data.

    Returns:
        The folder with the files: on Kaggle the mounted one, else `folder`.

    Raises:
        InputError: The name, the folder or the credentials are no good; files are missing or damaged, or
            of another competition.
        TunePaddyError: Kaggle, the network or the disk failed; the message says what to do.
    """
    _check_name(competition)
    for mounted in (mount / competition, mount / "competitions" / competition):
        if mounted.is_dir():
            say(f"{mounted} is mounted here; nothing to download")
            return mounted
    if folder.is_dir() and any(folder.iterdir()):
        say(f"{folder} is complete: {_verify(folder, competition):,} files, each with its checksum")
        return folder
    aside = folder.with_name(f".{folder.name}.download")
    archive = _download(client(), competition, aside, quiet)
    say(f"Downloaded {archive.stat().st_size / 2**20:,.1f} MiB; unpacking")
    n_files = _unpack(archive, aside / "unpacked", folder, competition)
    shutil.rmtree(aside)
    say(f"{n_files:,} files, each with its checksum, in {folder}")
    return folder


def competition_of(folder: Path, *, mount: Path = MOUNT) -> str:
    """The competition that a folder of images is from; empty where nothing tells.

    A fetched folder says it, whatever its name; so does the name of one that Kaggle has mounted, and that
    of the competition that this program began with.
    """
    if (folder / MANIFEST).is_file():
        try:
            return _read_manifest(folder)[0]
        except InputError:  # somebody else's file of that name
            return ""
    mounted = folder.parent in (mount, mount / "competitions")
    return folder.name if mounted or folder.name == COMPETITION else ""


def _check_name(competition: str) -> None:
    """Refuse what cannot be the last part of a competition's address: it becomes the name of a folder."""
    if not competition.replace("-", "").isalnum() or not competition.isascii():
        raise InputError(
            f"'{shown(competition)}' is no name of a competition: take it from its address, "
            "https://www.kaggle.com/competitions/NAME"
        )


def _download(client: KaggleClient, competition: str, aside: Path, quiet: bool) -> Path:
    aside.mkdir(parents=True, exist_ok=True)
    try:
        client.competition_download_files(competition, path=str(aside), quiet=quiet)
    except Exception as error:
        if not any(aside.iterdir()):
            aside.rmdir()
        raise explain(error, f"download {competition}", competition) from None
    archive = aside / f"{competition}.zip"
    if not archive.is_file():
        found = sorted(path.name for path in aside.iterdir())
        raise TunePaddyError(
            f"Kaggle sent no {archive.name}, but {', '.join(found) or 'nothing'}: look at {aside}"
        )
    return archive


def _unpack(archive: Path, unpacked: Path, folder: Path, competition: str) -> int:
    shutil.rmtree(unpacked, ignore_errors=True)  # of a call that was killed
    try:
        unpack_zip(archive, unpacked)
    except InputError as error:
        archive.unlink()  # the client would take a file of the right length for a good one
        raise InputError(f"{error}; it was removed: run the same command again") from error
    entries = _entries(archive)
    manifest = {"competition": competition, "files": entries}
    write_atomically(unpacked / MANIFEST, json.dumps(manifest).encode())
    if folder.is_dir():
        folder.rmdir()  # empty: on some systems a folder cannot take another's place
    unpacked.replace(folder)
    return len(entries)


def _entries(archive: Path) -> dict[str, tuple[int, int]]:
    with zipfile.ZipFile(archive) as opened:
        return {
            entry.filename: (entry.file_size, entry.CRC) for entry in opened.infolist() if not entry.is_dir()
        }


def _verify(folder: Path, competition: str) -> int:
    """Count the files of a fetched folder, once each was read against its checksum."""
    holds, entries = _read_manifest(folder)
    if holds != competition:
        raise InputError(
            f"{shown(folder)}: holds the files of {shown(holds)}: name another folder (`folder`)",
            options=("folder",),
        )
    damaged = [name for name, (size, crc) in entries.items() if not _is_sound(folder / name, size, crc)]
    if damaged:
        raise InputError(
            f"{shown(folder)}: {len(damaged):,} of {len(entries):,} files are missing or damaged: remove the "
            f"folder and fetch it again{listed(map(shown, damaged), len(damaged), limit=5)}"
        )
    return len(entries)


def _read_manifest(folder: Path) -> tuple[str, dict[str, tuple[int, int]]]:
    """The competition of a fetched folder, and name → (size, CRC-32) of its files."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = {str(name): (int(size), int(crc)) for name, (size, crc) in manifest["files"].items()}
        return str(manifest["competition"]), files
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(
            f"{shown(folder)}: holds files that were not fetched before: name another folder (`folder`), or "
            "check what is there with `tune-paddy data check`",
            options=("folder",),
        ) from None


def _is_sound(path: Path, size: int, crc: int) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        found = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found = zlib.crc32(chunk, found)
    except OSError:
        return False
    return found == crc
