"""The labelled images of a run and their split; every problem is one sentence. Loads no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pkgs.data.catalog import READERS, channels_of
from pkgs.data.config import DataConfig, PoolConfig
from pkgs.data.division import LabelledSet, divide, planned_parts
from pkgs.data.items import DataError, Reader, Sample
from pkgs.data.joined import Joined, Member, require_apart
from pkgs.data.matched_colours import match_for
from pkgs.data.other_labels import read_keep, with_labels
from pkgs.data.split import Entry, check_leaks
from pkgs.foundation.provenance import digest_file
from pkgs.foundation.registry import choose


@dataclass(frozen=True, slots=True)
class Inputs:
    """All samples, and which of them stand in which part of the split."""

    reader: Reader
    samples: tuple[Sample, ...]
    entries: tuple[Entry, ...]
    """Of the samples that take part: without those that may not train (`data.keep`)."""
    fingerprint: str
    """Digest of the split file, which holds every image's digest; of several sets, or with a list of those
    that may train, of all these files."""
    warnings: tuple[str, ...]
    shared: bool = False
    """Whether the same samples train, choose and judge (`split.by: all`)."""

    def numbers(self, name: str) -> list[int]:
        """Return the places among `samples` of those that stand in this part."""
        part = "train" if self.shared else name
        wanted = {entry.sample for entry in self.entries if entry.split == part}
        return [number for number, sample in enumerate(self.samples) if sample.id in wanted]


def find(config: DataConfig, *, tick: Callable[[], None] = lambda: None) -> Inputs:
    """Return the samples and their split; the first run on a data set writes the split file.

    Raises:
        DataError: If data are missing, unpaired, changed, or do not fit the split file, or masks or ids named
        in the settings are missing.
    """
    sets = _sets(config)
    entries = [_told(given, entry) for given in sets for entry in divide(given, tick=tick)]
    warnings: list[str] = []
    check_leaks(entries, config=config.split, warn=warnings)
    if config.split.by == "all":
        warnings.append("data.split.by is all: the scores are those of images that were trained on.")
    part_of = {entry.sample: entry.split for entry in entries}
    samples, members = _samples(config, sets, part_of), _members(sets, tick)
    files = [given.path for given in sets]
    if config.keep:
        kept = read_keep(Path(config.keep), part_of=part_of)
        entries = [entry for entry in entries if entry.split != "train" or entry.sample in kept]
        files.append(Path(config.keep))
    plain = len(members) == 1 and members[0].match is None
    reader = members[0].reader if plain else Joined(tuple(members))
    shared = config.split.by == "all"
    return Inputs(reader, tuple(samples), tuple(entries), _digest(files), tuple(warnings), shared)


def problems(config: DataConfig) -> list[str]:
    """Return what is wrong with the data, without decoding an image or writing anything."""
    try:
        sets = _sets(config)
        part_of = {given.prefix + id_: part for given in sets for id_, part in planned_parts(given).items()}
        _samples(config, sets, part_of)
        if config.keep:
            read_keep(Path(config.keep), part_of=part_of)
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


def _sets(config: DataConfig) -> list[LabelledSet]:
    """Return the first set and the further ones.

    Raises:
        DataError: If one is missing or unpaired, or they do not go together.
    """
    channels = channels_of(config.layout)
    if config.colour_match != "none" and channels == 1:
        raise DataError(
            f"data.colour_match is {config.colour_match}, and {config.layout} holds grey images. "
            "Leave it out."
        )
    sets = [_set(config, prefix="")]
    for further in config.also:
        if channels_of(further.layout) != channels:
            raise DataError(
                f"data.also: images of {further.layout} have {channels_of(further.layout)} channels, those "
                f"of {config.layout} {channels}; a network takes one kind. Join sets of one kind."
            )
        own = config.model_copy(update={"root": further.root, "layout": further.layout})
        sets.append(_set(own, prefix=f"{further.layout}/"))
    require_apart(_members(sets), sets[0].samples)
    return sets


def _set(config: DataConfig, *, prefix: str) -> LabelledSet:
    reader = choose("layout", READERS, config.layout)()
    samples = tuple(reader.samples(Path(config.root)))
    return LabelledSet(prefix, reader, channels_of(config.layout), config, samples)


def _members(sets: Sequence[LabelledSet], tick: Callable[[], None] | None = None) -> list[Member]:
    """Return the sets as members of a joined one; with `tick` also how colours are matched."""
    return [
        Member(
            given.prefix,
            given.reader,
            Path(given.config.root),
            match_for(given.config, reader=given.reader, samples=given.samples, tick=tick) if tick else None,
        )
        for given in sets
    ]


def _samples(config: DataConfig, sets: Sequence[LabelledSet], part_of: Mapping[str, str]) -> list[Sample]:
    """Return the samples of all sets, with the masks that the settings name."""
    first: Sequence[Sample] = sets[0].samples
    for setting, folder, parts in (
        ("data.labels", config.labels, ("train", "val")),
        ("data.test_labels", config.test_labels, ("test",)),
    ):
        first = with_labels(first, folder=folder, parts=parts, part_of=part_of, setting=setting)
    others = [
        member.told(s) for member, given in zip(_members(sets), sets, strict=True) for s in given.samples
    ]
    return [*first, *others[len(first) :]]


def _told(given: LabelledSet, entry: Entry) -> Entry:
    return replace(entry, sample=given.prefix + entry.sample, group=given.prefix + entry.group)


def _digest(files: Sequence[Path]) -> str:
    """Return the digest of a file; of several, that of their digests."""
    if len(files) == 1:
        return digest_file(files[0])
    return hashlib.sha256("".join(map(digest_file, files)).encode()).hexdigest()[:16]
