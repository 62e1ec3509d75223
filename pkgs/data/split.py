"""Who trains, who chooses, who judges: decided once by group, kept in a file, refused when it does not fit.

Columns `sample,group,split,digest`; the digest is that of the image's pixels. Loads no torch.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgs.data.config import SplitConfig
from pkgs.data.items import DataError, Sample, listed
from pkgs.foundation.files import write_whole
from pkgs.foundation.seeds import Purpose, derive

COLUMNS: Final = ("sample", "group", "split", "digest")
PARTS: Final = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a split file."""

    sample: str
    group: str
    split: str
    digest: str


def split_file(root: Path, config: SplitConfig) -> Path:
    """Return where the split of the data set at `root` is kept."""
    return root / "splits" / config.file_name


def assign(samples: Sequence[Sample], config: SplitConfig) -> dict[str, str]:
    """Return the part of each sample's id; depends on the ids and the settings alone.

    Raises:
        DataError: If there are too few sources that may enter val and test.
    """
    if config.by == "patch":
        return _assign_patches(samples, config)
    return _assign_sources(samples, config)


def _assign_patches(samples: Sequence[Sample], config: SplitConfig) -> dict[str, str]:
    shuffled = sorted((s.id for s in samples), key=lambda id_: derive(config.seed, Purpose.SPLIT, id_))
    first, second = round(config.train * len(shuffled)), round((config.train + config.val) * len(shuffled))
    return {
        id_: "train" if place < first else "val" if place < second else "test"
        for place, id_ in enumerate(shuffled)
    }


def _assign_sources(samples: Sequence[Sample], config: SplitConfig) -> dict[str, str]:
    counts = Counter(sample.group for sample in samples)
    shuffled = sorted(counts, key=lambda source: derive(config.seed, Purpose.SPLIT, source))
    queue = [source for source in shuffled if counts[source] <= config.max_source_share * len(samples)]
    part_of = dict.fromkeys(counts, "train")
    for part, share in (("test", config.test), ("val", config.val)):
        taken = images = 0
        while taken < config.min_sources or images < round(share * len(samples)):
            if not queue:
                raise DataError(_too_few(counts, config, part))
            source = queue.pop(0)
            part_of[source] = part
            taken, images = taken + 1, images + counts[source]
    if "train" not in part_of.values():
        raise DataError(_too_few(counts, config, "train"))
    return {sample.id: part_of[sample.group] for sample in samples}


def _too_few(counts: Mapping[str, int], config: SplitConfig, part: str) -> str:
    small = sum(count <= config.max_source_share * sum(counts.values()) for count in counts.values())
    return (
        f"The split runs out of sources for {part}: {len(counts)} sources, {small} of them with at most "
        f"{config.max_source_share:.0%} of all images, and val and test need {config.min_sources} each. "
        "Lower data.split.min_sources, or raise data.split.max_source_share."
    )


def render(entries: Sequence[Entry]) -> str:
    """Return the text of a split file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((entry.sample, entry.group, entry.split, entry.digest) for entry in entries)
    return text.getvalue()


def write_split(
    path: Path, samples: Sequence[Sample], *, config: SplitConfig, digests: Mapping[str, str]
) -> None:
    """Write the split of `samples`. Two runs that do so at once write the same bytes.

    Raises:
        DataError: If there are too few sources, or the file cannot be written.
    """
    part_of = assign(samples, config)
    text = render([Entry(s.id, s.group, part_of[s.id], digests[s.id]) for s in samples])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise DataError(
            f"{path}: the split cannot be written ({error.strerror}). Make room or writable."
        ) from None


def read_split(path: Path) -> list[Entry]:
    """Read a split file.

    Raises:
        DataError: If it is missing or not of this form.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise DataError(f"{path}: the split file is missing, and data.split.by is 'file'.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the split file cannot be read ({error}).") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise DataError(
            f"{path}: first line {','.join(rows[0]) if rows else ''!r}; expected {','.join(COLUMNS)}."
        )
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS) or row[2] not in PARTS:
            raise DataError(f"{path}, line {line}: {row!r}; expected sample, group, one of {PARTS}, digest.")
    return [Entry(*row) for row in rows[1:]]


def fitting(path: Path, entries: Sequence[Entry], *, samples: Sequence[Sample], config: SplitConfig) -> None:
    """Refuse a split file that does not belong to these samples and settings.

    Raises:
        DataError: If samples are missing or surplus, groups differ, or the settings would split otherwise.
    """
    cure = f"Give data.split.name another name, or remove {path.name} if nothing was trained with it."
    written, there = {entry.sample: entry for entry in entries}, {sample.id: sample for sample in samples}
    if len(written) != len(entries):
        raise DataError(f"{path}: the same sample stands in it twice. {cure}")
    if written.keys() != there.keys():
        missing, surplus = sorted(there.keys() - written.keys()), sorted(written.keys() - there.keys())
        told = [f"without {listed(missing)}"] * bool(missing) + [f"with {listed(surplus)}"] * bool(surplus)
        raise DataError(f"{path}: does not fit the data: {' and '.join(told)}. {cure}")
    if config.by == "file":
        return
    part_of = assign(samples, config)
    differing = [
        e.sample for e in entries if e.split != part_of[e.sample] or e.group != there[e.sample].group
    ]
    if differing:
        raise DataError(f"{path}: was made with other settings: {listed(differing)} would differ. {cure}")


def leaks(entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Return what stands in more than one part: groups, and images by digest (as the samples' ids)."""
    groups: dict[str, set[str]] = defaultdict(set)
    images: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.group].add(entry.split)
        images[entry.digest].append(entry)
    shared = sorted(group for group, parts in groups.items() if len(parts) > 1)
    twins = [
        " = ".join(f"{entry.sample} ({entry.split})" for entry in same)
        for same in images.values()
        if len({entry.split for entry in same}) > 1
    ]
    return shared, sorted(twins)


def check_leaks(entries: Sequence[Entry], *, config: SplitConfig, warn: list[str]) -> None:
    """Refuse images that stand in two parts; append to `warn` what a patch split leaks by its nature.

    Raises:
        DataError: If the split is by source (or by hand) and an image stands in two parts.
    """
    shared, twins = leaks(entries)
    if shared:
        warn.append(f"{len(shared)} sources stand in more than one part of the split: {listed(shared)}.")
    if not twins:
        return
    told = f"{len(twins)} images stand in more than one part of the split: {listed(twins)}."
    if config.by != "patch":
        raise DataError(f"{told} Remove the copies from the data, or join their sources.")
    warn.append(told)
