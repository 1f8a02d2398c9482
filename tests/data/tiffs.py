"""TIFF files that Pillow cannot write: any number of channels, of any type, interleaved or not."""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GREY, RGB, INKS = 1, 2, 5
"""Values of the tag that says what the channels are."""

_SHORT, _LONG = 3, 4
_FORMATS = {_SHORT: "H", _LONG: "I"}


def tiff(
    pixels: NDArray[np.generic], kind: int, *, extra: Sequence[int] = (), separate: bool = False
) -> bytes:
    """Return an uncompressed little-endian TIFF of an array [height, width, channels].

    Args:
        pixels: Unsigned integers or floats.
        kind: `GREY`, `RGB` or `INKS`.
        extra: Meaning of each further channel; 0: not stated, 2: transparency.
        separate: Whether each channel is stored by itself.
    """
    height, width, channels = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    ordered = np.moveaxis(pixels, 2, 0) if separate else pixels
    data = ordered.astype(pixels.dtype.newbyteorder("<")).tobytes()
    parts = channels if separate else 1
    each = len(data) // parts
    tags = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [bits] * channels),
        259: (_SHORT, [1]),
        262: (_SHORT, [kind]),
        273: (_LONG, [8 + each * part for part in range(parts)]),
        277: (_SHORT, [channels]),
        278: (_LONG, [height]),
        279: (_LONG, [each] * parts),
        284: (_SHORT, [2 if separate else 1]),
        338: (_SHORT, list(extra)),
        339: (_SHORT, [3 if pixels.dtype.kind == "f" else 1] * channels),
    }
    return _joined(data, {tag: known for tag, known in tags.items() if known[1]})


def _joined(data: bytes, tags: dict[int, tuple[int, list[int]]]) -> bytes:
    body, entries = bytearray(data), []
    for tag, (kind, values) in tags.items():
        content = struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
        if len(content) > 4:
            body += b"\0" * (len(body) % 2)
            place = 8 + len(body)
            body += content
            content = struct.pack("<I", place)
        entries.append(struct.pack("<HHI", tag, kind, len(values)) + content.ljust(4, b"\0"))
    body += b"\0" * (len(body) % 2)
    head = b"II*\0" + struct.pack("<I", 8 + len(body))
    return head + bytes(body) + struct.pack("<H", len(entries)) + b"".join(entries) + b"\0" * 4
