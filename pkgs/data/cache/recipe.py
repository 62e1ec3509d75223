"""How an item is made from its files, what an item must be, and the key that names all of this.

The only place of the cache where a reader or a preparation is called. Loads no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import metadata
from typing import Final

import numpy as np

from pkgs.data.items import Array, DataError, Header, Item, Preparation, Reader, Sample, listed

FORMAT: Final = 1
"""Raised whenever the layout of the packed file changes."""

DECODERS: Final = (
    "numpy", "scipy", "pillow", "tifffile", "imagecodecs", "nibabel", "pydicom", "torch", "monai",
)  # fmt: skip
"""What decodes and prepares: another version may give other values."""

_ADDRESS: Final = " at 0x"


class BadItemError(DataError):
    """One sample that cannot be used; its number is `index`."""

    def __init__(self, message: str, *, index: int = -1, lasting: bool = True) -> None:
        super().__init__(message)
        self.index = index
        self.lasting = lasting
        """Whether the file itself is at fault, so that trying again is useless while it stays the same."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (str(self), self.index, self.lasting)


def _rebuilt(message: str, index: int, lasting: bool) -> BadItemError:  # noqa: FBT001 - for pickle
    return BadItemError(message, index=index, lasting=lasting)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Reader, preparations and checks of a cache. Pickles small."""

    reader: Reader
    preparations: tuple[Preparation, ...]
    root: str
    test_nan_inf: bool = True

    def plan(self, sample: Sample) -> Header:
        """Return what `make` will return, from the file headers alone.

        Raises:
            BadItemError: Names the files and the reason.
        """
        try:
            header = self.reader.header(sample)
            for preparation in self.preparations:
                header = preparation.planned(header)
        except Exception as error:  # decoders raise anything on a damaged file
            raise self._refusal(sample, error) from error
        return header

    def make(self, sample: Sample) -> dict[str, Array]:
        """Decode, prepare and check one sample; arrays are contiguous, in the machine's byte order.

        Raises:
            BadItemError: Names the files and the reason.
        """
        try:
            item: Item = self.reader.read(sample)
            for preparation in self.preparations:
                item = preparation(item)
            made = {name: _native(array) for name, array in item.items()}
        except MemoryError:
            raise  # the machine's fault, not the sample's
        except Exception as error:  # decoders raise anything on a damaged file
            raise self._refusal(sample, error) from error
        if self.test_nan_inf:
            self._refuse_not_finite(sample, made)
        return made

    def key(self, sources: bytes) -> str:
        """Return 32 hex digits of everything that the values of the cache depend on.

        Raises:
            TypeError: If a preparation does not say its settings.
        """
        words = [
            f"format {FORMAT}",
            f"{self.reader.name} {self.reader.version}",
            f"finite {self.test_nan_inf}",
        ]
        words += [_said(self.reader) or type(self.reader).__qualname__]
        words += [_settings(preparation) for preparation in self.preparations]
        words += [f"{name} {_version(name)}" for name in DECODERS]
        return blake2b("\x1f".join(words).encode() + sources, digest_size=16).hexdigest()

    def _refusal(self, sample: Sample, error: Exception) -> BadItemError:
        lasting = not isinstance(error, OSError)
        if isinstance(error, DataError):
            return BadItemError(str(error), lasting=lasting)
        return BadItemError(
            f"{where(sample)}: cannot be read ({type(error).__name__}: {error}). "
            "Restore the file, or take it out of the data set.",
            lasting=lasting,
        )

    def _refuse_not_finite(self, sample: Sample, made: Item) -> None:
        for name, array in made.items():
            if array.dtype.kind in "fc" and not np.isfinite(array).all():
                wrong = int(array.size - np.isfinite(array).sum())
                raise BadItemError(
                    f"{where(sample)}: {wrong} of {array.size} values of {name!r} are NaN or infinite. "
                    "Restore the file, or take it out of the data set."
                )


def where(sample: Sample) -> str:
    """Return the sample's files in one phrase."""
    files = listed(sorted({str(path) for path in sample.files.values()})) or sample.id
    return files if sample.place is None else f"{files}, place {sample.place}"


def versions() -> str:
    """Return the installed decoders with their versions."""
    return ", ".join(f"{name} {version}" for name in DECODERS if (version := _version(name)))


def same_arrays(headers: Sequence[Header]) -> bool:
    """Return whether all headers name the same arrays of the same kinds."""
    wanted = {name: spec.kind for name, spec in headers[0].arrays.items()}
    return all({name: spec.kind for name, spec in header.arrays.items()} == wanted for header in headers)


def _native(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).reshape(array.shape)


def _settings(preparation: Preparation) -> str:
    said = _said(preparation)
    if said is None:
        raise TypeError(
            f"{type(preparation).__qualname__}: its repr does not name its settings, so a changed one would "
            "hit a stale cache. Make it a frozen dataclass or a Section."
        )
    return said


def _said(thing: object) -> str | None:
    text = repr(thing)
    return None if _ADDRESS in text else text


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
