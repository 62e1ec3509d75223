"""The labelled images of a run and their split; every problem is one sentence. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pkgs.data.assign import assign
from pkgs.data.catalog import READERS
from pkgs.data.config import DataConfig
from pkgs.data.formats.grey_image import digest_image
from pkgs.data.items import Sample
from pkgs.data.split import Entry, check_leaks, fitting, read_split, split_file, write_split
from pkgs.foundation.provenance import digest_file
from pkgs.foundation.registry import choose


@dataclass(frozen=True, slots=True)
class Inputs:
    """The samples of each part of the split."""

    samples: tuple[Sample, ...]
    entries: tuple[Entry, ...]
    fingerprint: str
    """Digest of the split file, which holds every image's digest."""
    warnings: tuple[str, ...]

    def part(self, name: str) -> list[Sample]:
        wanted = {entry.sample for entry in self.entries if entry.split == name}
        return [sample for sample in self.samples if sample.id in wanted]

    @property
    def digests(self) -> dict[str, str]:
        return {entry.sample: entry.digest for entry in self.entries}


def find(config: DataConfig, *, tick: Callable[[], None] = lambda: None) -> Inputs:
    """Return the samples and their split; the first run on a data set writes the split file.

    Raises:
        DataError: If data are missing, unpaired, or do not fit the split file.
    """
    root = Path(config.root)
    samples = choose("layout", READERS, config.layout)().samples(root)
    path = split_file(root, config.split)
    if config.split.by != "file" and not path.exists():
        write_split(path, samples, config=config.split, digests=_digests(samples, tick))
    entries = read_split(path)
    fitting(path, entries, samples=samples, config=config.split)
    warnings: list[str] = []
    check_leaks(entries, config=config.split, warn=warnings)
    return Inputs(tuple(samples), tuple(entries), digest_file(path), tuple(warnings))


def problems(config: DataConfig) -> list[str]:
    """Return what is wrong with the data, without decoding an image or writing anything."""
    root = Path(config.root)
    try:
        samples = choose("layout", READERS, config.layout)().samples(root)
        path = split_file(root, config.split)
        if config.split.by == "file" or path.exists():
            fitting(path, read_split(path), samples=samples, config=config.split)
        else:
            assign(samples, config.split)
    except ValueError as error:
        return [str(error)]
    return []


def _digests(samples: list[Sample], tick: Callable[[], None]) -> dict[str, str]:
    digests = {}
    for sample in samples:
        digests[sample.id] = digest_image(sample.files["image"])
        tick()
    return digests
