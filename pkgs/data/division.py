"""The parts of one labelled set: its split file made, read, and compared with data and settings. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pkgs.data.assign import assign
from pkgs.data.config import DataConfig, SplitConfig
from pkgs.data.folds import fitting_folds, grouped_folds, parts_of_fold, read_folds, write_folds
from pkgs.data.formats.grey_image import digest_image
from pkgs.data.formats.rgb_image import digest_rgb
from pkgs.data.items import Reader, Sample
from pkgs.data.split import Entry, fitting, read_split, split_file, write_split
from pkgs.data.unchanged import refuse_changed, remember_unchanged


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """One set as its reader finds it."""

    prefix: str
    """Before its ids among others; empty for the first."""
    reader: Reader
    channels: int
    config: DataConfig
    """With its own root and layout."""
    samples: tuple[Sample, ...]

    @property
    def path(self) -> Path:
        """Of its split file."""
        return split_file(Path(self.config.root), self.config.split)

    @property
    def digest(self) -> Callable[[Path], str]:
        return digest_image if self.channels == 1 else digest_rgb


def divide(given: LabelledSet, *, tick: Callable[[], None]) -> list[Entry]:
    """Return the part of each sample; the first run on a set writes the file.

    Raises:
        DataError: If images have changed, or the file does not fit data and settings.
    """
    config, samples = given.config, given.samples
    if config.split.by != "file" and not given.path.exists():
        digests = {}
        for sample in samples:
            digests[sample.id] = given.digest(sample.files["image"])
            tick()
        _write(given.path, samples, config=config.split, digests=digests)
        remember_unchanged(samples, digests=digests, config=config)
    entries = read_parts(given)
    digests = {entry.sample: entry.digest for entry in entries}
    refuse_changed(samples, digests=digests, config=config, digest=given.digest, tick=tick)
    return entries


def planned_parts(given: LabelledSet) -> dict[str, str]:
    """Return the part of each sample's id, from the file or as it will be; writes and decodes nothing.

    Raises:
        DataError: If the set cannot be divided, or the file does not fit.
    """
    config = given.config.split
    if config.by == "file" or given.path.exists():
        return {entry.sample: entry.split for entry in read_parts(given)}
    if config.by != "folds":
        return assign(given.samples, config)
    fold_of = grouped_folds(given.samples, folds=config.folds, seed=config.seed)
    folds = [Entry(sample.id, sample.group, str(fold_of[sample.id]), "") for sample in given.samples]
    return parts_of_fold(folds, fold=config.fold, val=config.fold_val, seed=config.seed)


def read_parts(given: LabelledSet) -> list[Entry]:
    """Return the entries of the set's file, folds as train, val and test.

    Raises:
        DataError: If it is missing, or does not fit data and settings.
    """
    path, config = given.path, given.config.split
    if config.by != "folds":
        entries = read_split(path)
        fitting(path, entries, samples=given.samples, config=config)
        return entries
    entries = read_folds(path)
    fold_of = grouped_folds(given.samples, folds=config.folds, seed=config.seed)
    fitting_folds(path, entries, samples=given.samples, fold_of=fold_of)
    part_of = parts_of_fold(entries, fold=config.fold, val=config.fold_val, seed=config.seed)
    return [replace(entry, split=part_of[entry.sample]) for entry in entries]


def _write(path: Path, samples: Sequence[Sample], *, config: SplitConfig, digests: dict[str, str]) -> None:
    if config.by == "folds":
        fold_of = grouped_folds(samples, folds=config.folds, seed=config.seed)
        write_folds(path, samples, fold_of=fold_of, digests=digests)
    else:
        write_split(path, samples, config=config, digests=digests)
