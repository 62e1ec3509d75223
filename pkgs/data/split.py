"""Who trains, who chooses, who judges: decided once by group, kept in a file, refused when it does not fit.

Columns `sample,group,split,digest`; the digest is that of the image's pixels, or empty where nobody has read
them all. Loads no torch.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgs.data.assign import assign
from pkgs.data.config import SplitConfig
from pkgs.data.items import DataError, Sample, listed
from pkgs.data.overlaps import overlapping
from pkgs.data.strata import ClassesOf, classes_of
from pkgs.foundation.files import write_whole

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


def render(entries: Sequence[Entry], *, columns: Sequence[str] = COLUMNS) -> str:
    """Return the text of a split file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows((entry.sample, entry.group, entry.split, entry.digest) for entry in entries)
    return text.getvalue()


def write_split(
    path: Path,
    samples: Sequence[Sample],
    *,
    config: SplitConfig,
    digests: Mapping[str, str],
    classes: ClassesOf = classes_of,
) -> None:
    """Write the split of `samples`. Two runs that do so at once write the same bytes.

    Args:
        path: Where; its folder is made.
        samples: All of the data set.
        config: The settings.
        digests: Of each sample's content; a sample without one is not compared with others.
        classes: What a sample holds, for `stratify`.

    Raises:
        DataError: If there are too few sources, or the file cannot be written.
    """
    part_of = assign(samples, config, classes=classes)
    store(path, render([Entry(s.id, s.group, part_of[s.id], digests.get(s.id, "")) for s in samples]))


def store(path: Path, text: str) -> None:
    """Replace the split file `path`.

    Raises:
        DataError: If it cannot be written.
    """
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
    return read_entries(path, columns=COLUMNS, valid=PARTS.__contains__, expected=f"one of {PARTS}")


def read_entries(
    path: Path, *, columns: Sequence[str], valid: Callable[[str], bool], expected: str
) -> list[Entry]:
    """Read a file of these columns, whose third must be `valid`.

    Raises:
        DataError: If it is missing or not of this form; names file, line and what was `expected`.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise DataError(f"{path}: the split file is missing, and data.split.by is 'file'.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the split file cannot be read ({error}).") from None
    if not rows or rows[0] != list(columns):
        raise DataError(
            f"{path}: first line {','.join(rows[0]) if rows else ''!r}; expected {','.join(columns)}."
        )
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(columns) or not valid(row[2]):
            raise DataError(f"{path}, line {line}: {row!r}; expected sample, group, {expected}, digest.")
    return [Entry(*row) for row in rows[1:]]


def fitting(
    path: Path,
    entries: Sequence[Entry],
    *,
    samples: Sequence[Sample],
    config: SplitConfig,
    classes: ClassesOf = classes_of,
) -> None:
    """Refuse a split file that does not belong to these samples and settings.

    Raises:
        DataError: If samples are missing or surplus, groups differ, or the settings would split otherwise.
    """
    require_samples(path, entries, samples=samples)
    if config.by != "file":
        require_parts(path, entries, samples=samples, part_of=assign(samples, config, classes=classes))


def require_samples(path: Path, entries: Sequence[Entry], *, samples: Sequence[Sample]) -> None:
    """Refuse a file that does not name each sample once.

    Raises:
        DataError: Lists what is missing and what is surplus.
    """
    written, there = {entry.sample for entry in entries}, {sample.id for sample in samples}
    if len(written) != len(entries):
        raise DataError(f"{path}: the same sample stands in it twice. {_cure(path)}")
    if written != there:
        missing, surplus = sorted(there - written), sorted(written - there)
        told = [f"without {listed(missing)}"] * bool(missing) + [f"with {listed(surplus)}"] * bool(surplus)
        raise DataError(f"{path}: does not fit the data: {' and '.join(told)}. {_cure(path)}")


def require_parts(
    path: Path, entries: Sequence[Entry], *, samples: Sequence[Sample], part_of: Mapping[str, str]
) -> None:
    """Refuse a file whose groups or parts are not those of today.

    Raises:
        DataError: Lists the samples that would differ.
    """
    group_of = {sample.id: sample.group for sample in samples}
    differing = [e.sample for e in entries if e.split != part_of[e.sample] or e.group != group_of[e.sample]]
    if differing:
        raise DataError(
            f"{path}: was made with other settings: {listed(differing)} would differ. {_cure(path)}"
        )


def _cure(path: Path) -> str:
    return f"Give data.split.name another name, or remove {path.name} if nothing was trained with it."


def leaks(entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Return what stands in more than one part: groups, and images by digest (as the samples' ids)."""
    groups: dict[str, set[str]] = defaultdict(set)
    images: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.group].add(entry.split)
        if entry.digest:
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

    Folds of tiles may hold the same image twice, such as one without any content: that is said.

    Raises:
        DataError: If the split is by group and a group stands in two parts, or it is by anything but patch or
        folds and an image does.
    """
    shared, twins = leaks(entries)
    if shared and config.by == "group":
        raise DataError(
            f"{len(shared)} groups stand in more than one part of the split: {listed(shared)}. "
            "The release parts what belongs together; make the split file by hand (by: file)."
        )
    if shared:
        warn.append(f"{len(shared)} sources stand in more than one part of the split: {listed(shared)}.")
    pairs = overlapping({entry.sample: entry.split for entry in entries})
    if pairs:
        warn.append(f"{len(pairs)} pairs of overlapping patches stand in different parts: {listed(pairs)}.")
    if not twins:
        return
    told = f"{len(twins)} images stand in more than one part of the split: {listed(twins)}."
    if config.by not in {"patch", "folds"}:
        raise DataError(f"{told} Remove the copies from the data, or join their sources.")
    warn.append(told)
