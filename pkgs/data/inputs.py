"""The labelled images of a run and their split; every problem is one sentence. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pkgs.data.assign import assign
from pkgs.data.catalog import READERS
from pkgs.data.config import DataConfig, PoolConfig
from pkgs.data.formats.grey_image import digest_image
from pkgs.data.items import Reader, Sample
from pkgs.data.split import Entry, check_leaks, fitting, read_split, split_file, write_split
from pkgs.data.unchanged import refuse_changed, remember_unchanged
from pkgs.data.whole_folder import is_synthetic
from pkgs.foundation.provenance import digest_file
from pkgs.foundation.registry import choose


@dataclass(frozen=True, slots=True)
class Inputs:
    """All samples, and which of them stand in which part of the split."""

    reader: Reader
    samples: tuple[Sample, ...]
    entries: tuple[Entry, ...]
    fingerprint: str
    """Digest of the split file, which holds every image's digest."""
    warnings: tuple[str, ...]

    def numbers(self, name: str) -> list[int]:
        """Return the places among `samples` of those that stand in this part."""
        wanted = {entry.sample for entry in self.entries if entry.split == name}
        return [number for number, sample in enumerate(self.samples) if sample.id in wanted]


def find(config: DataConfig, *, tick: Callable[[], None] = lambda: None) -> Inputs:
    """Return the samples and their split; the first run on a data set writes the split file.

    Raises:
        DataError: If data are missing, unpaired, changed, or do not fit the split file.
    """
    root = Path(config.root)
    reader = choose("layout", READERS, config.layout)()
    samples = reader.samples(root)
    path = split_file(root, config.split)
    if config.split.by != "file" and not path.exists():
        digests = _digests(samples, tick)
        write_split(path, samples, config=config.split, digests=digests)
        remember_unchanged(samples, digests=digests, config=config)
    entries = read_split(path)
    fitting(path, entries, samples=samples, config=config.split)
    refuse_changed(samples, digests={e.sample: e.digest for e in entries}, config=config, tick=tick)
    warnings: list[str] = []
    check_leaks(entries, config=config.split, warn=warnings)
    return Inputs(reader, tuple(samples), tuple(entries), digest_file(path), tuple(warnings))


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


def problems_of_pool(config: PoolConfig | None) -> list[str]:
    """Return what is wrong with the unlabelled images, without reading one; None: there are to be none."""
    if config is None:
        return []
    try:
        choose("layout", READERS, config.layout)().samples(Path(config.root))
    except ValueError as error:
        return [str(error)]
    return []


def origin_of(config: DataConfig) -> dict[str, object]:
    """Return what provenance.json says of the data."""
    return {
        "root": config.root,
        "split": config.split.file_name,
        "synthetic": is_synthetic(Path(config.root)),
    }


def _digests(samples: list[Sample], tick: Callable[[], None]) -> dict[str, str]:
    digests = {}
    for sample in samples:
        digests[sample.id] = digest_image(sample.files["image"])
        tick()
    return digests
