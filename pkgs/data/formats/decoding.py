"""One sentence for whatever a decoder raises: which file, what is wrong with it, what to do."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from pkgs.data.items import DataError

DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    SyntaxError,  # Pillow's word for a broken PNG chunk
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What decoders raise for files that are cut, overwritten, or of another format than they say."""


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn what is raised while `path` is decoded into a DataError that names it.

    Raises:
        DataError: If the file is missing, may not be read, or is damaged.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(_missing(path)) from None
    except PermissionError:
        raise DataError(f"{path}: may not be read (permission denied). Change its mode or owner.") from None
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be decoded ({error}). {_cure(error)}") from error


def _missing(path: Path) -> str:
    if path.is_symlink():
        return (
            f"{path}: is a link to {path.readlink()}, which is missing. Restore the file or remove the link."
        )
    return f"{path}: is missing."


def _cure(error: BaseException) -> str:
    if "imagecodecs" in str(error):
        return "Install imagecodecs, or save the file without this compression."
    return "Is the file complete?"
