"""Files of a competition: mounted, already fetched, or downloaded, and verified by checksums."""

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
"""File in a fetched folder with its competition, and size and CRC-32 of every file of the archive."""

MOUNT = Path("/kaggle/input")
"""Folder in which Kaggle's machines mount the data of a notebook's competitions."""

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
    """Fetch a competition's files, or find existing ones.

    An interrupted download is resumed. The archive is unpacked beside the folder and checked against its
    checksums. Then the folder appears, and the archive is removed.

    Args:
        competition: Kaggle's name of the competition, as in its URL.
        folder: Target folder: missing, empty, or fetched earlier.
        client: Factory of Kaggle's client, called only for a download.
        quiet: Whether to hide the client's progress.
        say: Function that receives progress messages.
        mount: Kaggle's own folder of data.

    Returns:
        The folder with the files: on Kaggle the mounted one, else `folder`.

    Raises:
        InputError: The name, the folder or the credentials are invalid; or files are missing, damaged or
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
    """Return the competition that a folder of images comes from; empty if unknown.

    The manifest of a fetched folder determines it. Otherwise the folder's name does, if Kaggle has mounted
    the folder or if the name is that of the default competition.
    """
    if (folder / MANIFEST).is_file():
        try:
            return _read_manifest(folder)[0]
        except InputError:  # an unrelated file of that name
            return ""
    mounted = folder.parent in (mount, mount / "competitions")
    return folder.name if mounted or folder.name == COMPETITION else ""


def _check_name(competition: str) -> None:
    """Refuse names that cannot be the last part of a competition's URL: they become folder names."""
    if not competition.replace("-", "").isalnum() or not competition.isascii():
        raise InputError(
            f"'{shown(competition)}' is not a competition name: take it from the address, "
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
            f"Kaggle sent {', '.join(found) or 'nothing'} instead of {archive.name}: check {aside}"
        )
    return archive


def _unpack(archive: Path, unpacked: Path, folder: Path, competition: str) -> int:
    shutil.rmtree(unpacked, ignore_errors=True)  # from a killed call
    try:
        unpack_zip(archive, unpacked)
    except InputError as error:
        archive.unlink()  # the client would accept any file of the right length
        raise InputError(f"{error}; it was removed: run the same command again") from error
    entries = _entries(archive)
    manifest = {"competition": competition, "files": entries}
    write_atomically(unpacked / MANIFEST, json.dumps(manifest).encode())
    if folder.is_dir():
        folder.rmdir()  # empty: on some systems a folder cannot replace another one
    unpacked.replace(folder)
    return len(entries)


def _entries(archive: Path) -> dict[str, tuple[int, int]]:
    with zipfile.ZipFile(archive) as opened:
        return {
            entry.filename: (entry.file_size, entry.CRC) for entry in opened.infolist() if not entry.is_dir()
        }


def _verify(folder: Path, competition: str) -> int:
    """Verify the checksum of every file in a fetched folder, and return their number."""
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
    """Return the competition of a fetched folder, and name → (size, CRC-32) of its files."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = {str(name): (int(size), int(crc)) for name, (size, crc) in manifest["files"].items()}
        return str(manifest["competition"]), files
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(
            f"{shown(folder)}: holds files that this command did not fetch: name another folder (`folder`), "
            "or check the files with `tune-paddy data check`",
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
