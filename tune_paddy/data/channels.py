"""Channels, depth and pages of image files: what is not used of a file, and files that cannot be used."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import TiffImagePlugin
from PIL.ImageFile import ImageFile

from tune_paddy.data.pixel_range import is_deep
from tune_paddy.data.system.text import counted

MOST_CHANNELS = 4
"""Channels of an image with colours and transparency, or with four inks."""

_BYTE = 8
_SEPARATE = 2
"""Value of a TIFF's tag: each channel is stored by itself."""

_HEAD_BYTES = 4096
_SIZ = b"\xff\x4f\xff\x51"
"""Start of the codestream of a JPEG 2000 file."""
_SIZ_DEPTH = 42
"""Offset of the first channel's depth from there."""
_AV1, _AV1_FLAGS, _AV1_HIGH_DEPTH = b"av1C", 6, 0x40
"""Name of an AVIF file's box, offset of its flags from there, and the flag of more than 8 bits a channel."""


@dataclass(frozen=True)
class Unused:
    """Parts of an image file that are not used.

    Attributes:
        depth: Whether it holds colours of more than 8 bits a channel, of which 8 are used.
        channels: Number of channels that are neither colours nor transparency.
        pages: Whether further pages or frames follow the first.
    """

    depth: bool = False
    channels: int = 0
    pages: bool = False


def unused_parts(image: ImageFile, head: bytes) -> Unused:
    """Return what decoding does not use of an opened image; nothing is decoded.

    Args:
        image: Opened image, not yet loaded.
        head: First bytes of its file.
    """
    channels, _ = _tiff_channels(image)
    return Unused(
        depth=not is_deep(image) and _has_depth(image, head),
        channels=max(0, channels - len(image.getbands())),
        # The further images of an MPO are other versions of the first, which cameras add.
        pages=bool(getattr(image, "is_animated", False)) and image.format != "MPO",
    )


def read_head(path: str | Path) -> bytes:
    """Return the first bytes of a file, for `unused_parts`."""
    with Path(path).open("rb") as file:
        return file.read(_HEAD_BYTES)


def unfit_channels(image: ImageFile) -> str | None:
    """Return why an opened image has channels that cannot be used, or None."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    channels, bits = _channels(image.tag_v2)
    bands = len(image.getbands())
    separate = channels > 1 and image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _SEPARATE
    if channels > MOST_CHANNELS or (separate and channels > bands):
        return _unread(channels, bits)
    if separate and bits > _BYTE and image.tile[0][0] == "raw":
        # Pillow reads each channel as if it had 8 bits, and returns other pixels.
        return f"has {channels} channels of {bits} bits, one stored after the other; interleave the channels"
    return None


def unread_tiff(path: str | Path) -> str | None:
    """Return what kind of TIFF a file is that Pillow does not open; None if it is none, or is damaged."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(8)
            if head[:4] not in TiffImagePlugin.PREFIXES:
                return None
            head += file.read(8) if head[2] == 43 else b""  # noqa: PLR2004 the version of BigTIFF
            tags = TiffImagePlugin.ImageFileDirectory_v2(head)
            file.seek(tags.next)
            tags.load(file)
            return _unread(*_channels(tags))
    except Exception:  # Pillow raises nearly anything on damaged files
        return None


def _unread(channels: int, bits: int) -> str:
    return (
        f"has {counted(channels, 'channel')} of {bits} bits; grey and RGB images of 8 or 16 bits, and grey "
        "ones of 32-bit floats, are read: save what the classes depend on as one of these"
    )


def _tiff_channels(image: ImageFile) -> tuple[int, int]:
    """Return the number of channels of a TIFF and their bits; (0, 0) for another format."""
    return _channels(image.tag_v2) if isinstance(image, TiffImagePlugin.TiffImageFile) else (0, 0)


def _channels(tags: Any) -> tuple[int, int]:
    channels = int(tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1))
    return channels, max(map(int, tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))


def _has_depth(image: ImageFile, head: bytes) -> bool:
    """Return whether an image has channels of more than 8 bits, by its format's header."""
    match image.format:
        case "TIFF":
            return _tiff_channels(image)[1] > _BYTE
        case "PNG":
            return any(";16" in str(tile[3]) for tile in image.tile)
        case "PPM":
            arguments = [tile[3] for tile in image.tile]
            return any(isinstance(each, tuple) and int(each[1]) >= 2**_BYTE for each in arguments)
        case "JPEG2000":
            start = head.find(_SIZ)
            depth = head[start + _SIZ_DEPTH : start + _SIZ_DEPTH + 1] if start >= 0 else b""
            return bool(depth) and (depth[0] & 0x7F) + 1 > _BYTE
        case "AVIF":
            start = head.find(_AV1)
            flags = head[start + _AV1_FLAGS : start + _AV1_FLAGS + 1] if start >= 0 else b""
            return bool(flags) and bool(flags[0] & _AV1_HIGH_DEPTH)
    return False


def describe_unused(parts: Iterable[Unused]) -> Iterator[str]:
    """Yield a sentence on each kind of part that is not used of a dataset's images."""
    found = list(parts)
    depth = sum(part.depth for part in found)
    if depth:
        yield (
            f"{counted(depth, 'colour image')} of more than 8 bits a channel: the upper 8 bits are used; if "
            "the values do not fill their bits, convert the files to 8 bits first"
        )
    channels = sum(part.channels > 0 for part in found)
    if channels:
        yield f"{counted(channels, 'image')} with a channel beside colours and transparency: it is not used"
    pages = sum(part.pages for part in found)
    if pages:
        yield f"{counted(pages, 'image')} with several pages or frames: the first is used"
