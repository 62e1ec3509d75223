"""Deciding who trains, who chooses and who judges; a function of ids, groups and settings. Keeps nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from pkgs.data.config import SplitConfig
from pkgs.data.items import DataError, Sample, listed
from pkgs.data.strata import ClassesOf, classes_by_group, classes_of, shuffled, spread, strata
from pkgs.foundation.seeds import Purpose, derive

CARVED: Final[Mapping[frozenset[str], Mapping[str, tuple[str, ...]]]] = {
    frozenset[str](): {"": ("test", "val", "train")},
    frozenset({"train"}): {"train": ("test", "val", "train")},
    frozenset({"train", "test"}): {"train": ("val", "train")},
    frozenset({"train", "val"}): {"val": ("test", "val")},
    frozenset({"train", "val", "test"}): {},
}
"""By the parts that a release gives: which of them is divided, and into what."""


def assign(
    samples: Sequence[Sample], config: SplitConfig, *, classes: ClassesOf = classes_of
) -> dict[str, str]:
    """Return the part of each sample's id; depends on the samples and the settings alone.

    `by: group`: parts that the release gives stay. Where it lacks val, val is cut from train; where it lacks
    test alone, from val (ImageNet: half of the official val images, if the shares of val and test are
    equal). The shares are of the groups in what is cut. With `stratify` each class gives its share, to
    within one group.

    `by: all`: every sample is in `train`, which stands for all three parts.

    Args:
        samples: All of the data set.
        config: The settings.
        classes: What a sample holds, for `stratify`.

    Raises:
        DataError: If there are too few sources or groups, or the release gives some samples a part and
        others not.
    """
    if config.by == "all":
        return {sample.id: "train" for sample in samples}
    if config.by == "patch":
        return _assign_patches(samples, config)
    if config.by == "group":
        return _assign_groups(samples, config, classes)
    return _assign_sources(samples, config)


def _assign_patches(samples: Sequence[Sample], config: SplitConfig) -> dict[str, str]:
    shuffled_ids = sorted((s.id for s in samples), key=lambda id_: derive(config.seed, Purpose.SPLIT, id_))
    count = len(shuffled_ids)
    first, second = round(config.train * count), round((config.train + config.val) * count)
    return {
        id_: "train" if place < first else "val" if place < second else "test"
        for place, id_ in enumerate(shuffled_ids)
    }


def _assign_sources(samples: Sequence[Sample], config: SplitConfig) -> dict[str, str]:
    counts = Counter(sample.group for sample in samples)
    order = sorted(counts, key=lambda source: derive(config.seed, Purpose.SPLIT, source))
    queue = [source for source in order if counts[source] <= config.max_source_share * len(samples)]
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


def _assign_groups(samples: Sequence[Sample], config: SplitConfig, classes: ClassesOf) -> dict[str, str]:
    given = frozenset(sample.part for sample in samples)
    plan = CARVED.get(frozenset() if given == {""} else given)
    if plan is None:
        raise DataError(
            f"The release gives the parts {listed(repr(part) for part in sorted(given))}; a split "
            "needs all samples without a part, or train with or without val and test. "
            "Make the split file by hand (by: file)."
        )
    part_of = {sample.id: sample.part for sample in samples}
    for source, parts in plan.items():
        inside = [sample for sample in samples if sample.part == source]
        of_group = _carve(inside, parts, config=config, classes=classes)
        part_of |= {sample.id: of_group[sample.group] for sample in inside}
    return part_of


def _carve(
    samples: Sequence[Sample], parts: Sequence[str], *, config: SplitConfig, classes: ClassesOf
) -> dict[str, str]:
    """Return the part of each group: all but the last of `parts` get their share of the groups."""
    held = classes_by_group(samples, classes if config.stratify else lambda _: ())
    if config.stratify and not any(held.values()):
        raise DataError(
            "data.split.stratify: no sample holds a class in a table. Turn it off, "
            "or give the classes that were counted in the masks."
        )
    if len(held) < len(parts):
        raise DataError(
            f"{len(held)} groups cannot be divided into {' and '.join(parts)}; a group is never cut. "
            "Add data, or make the split file by hand (by: file)."
        )
    stratum = strata(held)
    left = sorted(shuffled(held, seed=config.seed, word="group"), key=stratum.__getitem__)
    share = {part: getattr(config, part) for part in parts}
    whole, total = sum(share.values()), len(left)
    part_of = dict.fromkeys(held, parts[-1])
    for place, part in enumerate(parts[:-1]):
        room = len(left) - (len(parts) - 1 - place)  # each later part keeps one group
        chosen = spread(left, count=min(room, max(1, round(share[part] / whole * total))))
        part_of |= dict.fromkeys(chosen, part)
        left = [group for group in left if part_of[group] == parts[-1]]
    return part_of
