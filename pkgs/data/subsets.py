"""Few labels: nested subsets of a training part, by group, with every class in each.

Kept nowhere: the seed decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pkgs.data.items import DataError, Sample
from pkgs.data.strata import ClassesOf, classes_by_group, classes_of, shuffled, strata


@dataclass(frozen=True, slots=True)
class Subset:
    """What was drawn, and how much it really is."""

    samples: tuple[Sample, ...]
    """In the order in which they were given."""
    groups: int
    of_samples: int
    of_groups: int
    per_class: Mapping[int, int]
    """Samples that hold each class."""

    def told(self) -> str:
        """Return one sentence for the log."""
        shares = ", ".join(f"{number}: {count}" for number, count in sorted(self.per_class.items()))
        return (
            f"subset of {len(self.samples)} of {self.of_samples} samples "
            f"in {self.groups} of {self.of_groups} groups"
            + (f"; samples per class {shares}." if shares else ".")
        )


def draw_subset(
    samples: Sequence[Sample],
    *,
    share: float,
    seed: int,
    classes: ClassesOf = classes_of,
    by_sample: bool = False,
) -> Subset:
    """Return a share of the groups, stratified: every class that is there stays, and subsets are nested.

    Of one seed, the subset of a smaller share lies within that of a larger one. A group counts for the rarest
    class that it holds; one group per class is always in, so a small share may come out larger than asked:
    see the counts.

    Args:
        samples: The whole part.
        share: Of the groups, in (0, 1].
        seed: The run's.
        classes: What a sample holds.
        by_sample: Whether samples are drawn instead of groups.

    Raises:
        DataError: If the share is not in (0, 1], or there is no sample.
    """
    if not 0 < share <= 1 or not samples:
        raise DataError(
            f"A subset of {share:g} of {len(samples)} samples; expected a share above 0, at most 1."
        )

    def unit(sample: Sample) -> str:
        return sample.id if by_sample else sample.group

    held = classes_by_group(samples, classes, unit=unit)
    order = shuffled(held, seed=seed, word="subset")
    core = _core(order, held)
    chosen: set[str] = set()
    for members in _by_stratum(order, held, core).values():
        least = sum(group in core for group in members)
        chosen.update(members[: max(least, int(share * len(members) + 0.5))])
    kept = tuple(sample for sample in samples if unit(sample) in chosen)
    per_class = Counter(number for sample in kept for number in classes(sample))
    return Subset(kept, len(chosen), len(samples), len(held), dict(per_class))


def _core(order: Sequence[str], held: Mapping[str, Collection[int]]) -> set[str]:
    """Return groups that hold every class between them, or one group if there is no class."""
    first: dict[int, str] = {}
    counts: Counter[int] = Counter()
    for group in order:
        counts.update(held[group])
        for number in held[group]:
            first.setdefault(number, group)
    core: set[str] = set()
    covered: set[int] = set()
    for number in sorted(first, key=lambda number: (counts[number], number)):
        if number not in covered:
            core.add(first[number])
            covered.update(held[first[number]])
    return core or {order[0]}


def _by_stratum(
    order: Sequence[str], held: Mapping[str, Collection[int]], core: Collection[str]
) -> dict[int, list[str]]:
    """Return the groups of each stratum, those of the core first: a subset takes from the front."""
    stratum, members = strata(held), defaultdict[int, list[str]](list)
    for group in sorted(order, key=lambda group: group not in core):
        members[stratum[group]].append(group)
    return members
