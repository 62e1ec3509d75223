"""Grouped k folds: each group is judged once by a network that never saw it. Kept in a file, read ever after.

Columns `sample,group,fold,digest`, folds numbered from 0. Loads no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pkgs.data.items import DataError, Sample
from pkgs.data.split import Entry, read_entries, render, require_parts, require_samples, store
from pkgs.data.strata import CLASSLESS, ClassesOf, classes_by_group, shuffled, spread, strata

COLUMNS: Final = ("sample", "group", "fold", "digest")


def grouped_folds(
    samples: Sequence[Sample], *, folds: int, seed: int, classes: ClassesOf = lambda _: ()
) -> dict[str, int]:
    """Return the fold of each sample's id: the groups are shuffled, each goes to the smallest fold.

    Args:
        samples: All that take part.
        folds: How many, at least 2.
        seed: Of the shuffling.
        classes: What a sample holds; given, a group goes to the fold that has fewest groups of its stratum.

    Raises:
        DataError: If there are fewer groups than folds.
    """
    held = classes_by_group(samples, classes)
    if not 2 <= folds <= len(held):
        raise DataError(f"{folds} folds of {len(held)} groups; expected from 2 folds to one per group.")
    sizes, stratum = Counter(sample.group for sample in samples), strata(held)
    fold_of: dict[str, int] = {}
    images, alike = [0] * folds, Counter[tuple[int, int]]()
    for group in sorted(shuffled(held, seed=seed, word="fold"), key=stratum.__getitem__):
        kind = stratum[group]
        fold = min((alike[kind, fold], images[fold], fold) for fold in range(folds))[2]
        fold_of[group] = fold
        images[fold] += sizes[group]
        alike[kind, fold] += kind != CLASSLESS
    return {sample.id: fold_of[sample.group] for sample in samples}


def write_folds(
    path: Path, samples: Sequence[Sample], *, fold_of: Mapping[str, int], digests: Mapping[str, str]
) -> None:
    """Write the folds of `samples`.

    Raises:
        DataError: If the file cannot be written.
    """
    entries = [Entry(s.id, s.group, str(fold_of[s.id]), digests.get(s.id, "")) for s in samples]
    store(path, render(entries, columns=COLUMNS))


def read_folds(path: Path) -> list[Entry]:
    """Read a file of folds; an entry's `split` is the fold's number.

    Raises:
        DataError: If it is missing or not of this form.
    """
    return read_entries(path, columns=COLUMNS, valid=str.isdecimal, expected="number of the fold")


def fitting_folds(
    path: Path, entries: Sequence[Entry], *, samples: Sequence[Sample], fold_of: Mapping[str, int]
) -> None:
    """Refuse a file that is not of these samples, groups and folds.

    Raises:
        DataError: Lists what differs.
    """
    require_samples(path, entries, samples=samples)
    part_of = {id_: str(fold) for id_, fold in fold_of.items()}
    require_parts(path, entries, samples=samples, part_of=part_of)


def parts_of_fold(entries: Sequence[Entry], *, fold: int, val: float, seed: int) -> dict[str, str]:
    """Return the part of each sample's id when `fold` judges.

    Args:
        entries: The file.
        fold: Becomes `test`.
        val: Share of the other groups that becomes `val`, at least one group.
        seed: Of that choice, which differs from fold to fold.

    Raises:
        DataError: If there is no such fold, or too few groups are left.
    """
    if str(fold) not in {entry.split for entry in entries}:
        raise DataError(f"Fold {fold} is not in the file; it has {len({e.split for e in entries})}, from 0.")
    others = {entry.group for entry in entries if entry.split != str(fold)}
    if len(others) < 2:
        raise DataError(
            f"Fold {fold} leaves {len(others)} groups; training and val need one each. Use more groups."
        )
    order = shuffled(others, seed=seed, word=f"val of fold {fold}")
    chosen = set(spread(order, count=min(len(order) - 1, max(1, round(val * len(order))))))
    return {
        entry.sample: "test" if entry.split == str(fold) else "val" if entry.group in chosen else "train"
        for entry in entries
    }
