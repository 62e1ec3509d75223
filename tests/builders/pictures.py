"""Picture files that common libraries do not write: 16-bit colour PNG."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path


def write_deep_png(path: Path, *, side_px: int = 4) -> Path:
    """Write a PNG with 16 bits per channel in RGB."""
    rows = (b"\0" + bytes(6 * side_px)) * side_px
    head = struct.pack(">IIBBBBB", side_px, side_px, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path
