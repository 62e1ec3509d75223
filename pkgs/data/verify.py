"""Looking through a whole data set once: what is there, what cannot be read, what looks wrong.

Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pkgs.data.items import IGNORE, SHOWN, Array, DataError, Reader, Sample, listed
from pkgs.data.strata import classes_of

INVERTED_SHARE: Final = 0.5
"""More foreground than this over a whole set: objects are the smaller part of all sets that we know."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look through a data set found."""

    samples: int
    groups: int
    parts: Mapping[str, int]
    """Samples of each part that the release gives."""
    arrays: Mapping[str, Mapping[str, int]]
    """For each array how often each type and shape occurs, such as `uint8 3x512x512`."""
    foreground: Mapping[str, float]
    """For each label the share of foreground among all pixels that are not ignored."""
    classes: Mapping[int, int]
    """Samples that hold each class, by their vectors."""
    faults: tuple[str, ...]
    """Samples that cannot be used: at most twenty sentences, and how many more there are."""
    warnings: tuple[str, ...]


def verify(reader: Reader, samples: Sequence[Sample], *, tick: Callable[[], None] = lambda: None) -> Findings:
    """Read every sample and return what was found; faults are collected, not raised.

    Args:
        reader: Of the data set.
        samples: As the reader listed them.
        tick: Called after each sample.
    """
    arrays: dict[str, Counter[str]] = {}
    inside, known = Counter[str](), Counter[str]()
    faults: list[str] = []
    for sample in samples:
        try:
            item = reader.read(sample)
        except DataError as error:
            faults.append(str(error))
            item = {}
        for name, array in item.items():
            shape = "x".join(map(str, array.shape))
            arrays.setdefault(name, Counter())[f"{array.dtype} {shape}"] += 1
        for name in _labels(reader, sample) if item else ():
            valid = _not_ignored(item[name])
            inside[name] += int(np.count_nonzero((item[name] > 0) & valid))
            known[name] += int(np.count_nonzero(valid))
        tick()
    shares = {name: inside[name] / max(known[name], 1) for name in known}
    return Findings(
        samples=len(samples),
        groups=len({sample.group for sample in samples}),
        parts=dict(Counter(sample.part for sample in samples if sample.part)),
        arrays=arrays,
        foreground=shares,
        classes=dict(Counter(number for sample in samples for number in classes_of(sample))),
        faults=_first(faults),
        warnings=tuple(_inverted(name, share) for name, share in shares.items() if share > INVERTED_SHARE),
    )


def told(findings: Findings) -> str:
    """Return one paragraph for the terminal."""
    parts = ", ".join(f"{count} {part}" for part, count in findings.parts.items())
    lines = [f"{findings.samples} samples in {findings.groups} groups" + (f" ({parts})." if parts else ".")]
    for name, kinds in findings.arrays.items():
        lines.append(
            f"{name}: {listed(f'{count} of {kind}' for kind, count in Counter(kinds).most_common())}."
        )
    lines += [f"{name}: foreground {share:.1%} of the pixels." for name, share in findings.foreground.items()]
    if findings.classes:
        counts = listed(f"{number}: {count}" for number, count in sorted(findings.classes.items()))
        lines.append(f"samples per class: {counts}.")
    return "\n".join(lines)


def _labels(reader: Reader, sample: Sample) -> list[str]:
    return [name for name, spec in reader.header(sample).arrays.items() if spec.kind == "label"]


def _not_ignored(label: Array) -> Array:
    if label.dtype.itemsize > 1:  # numbered objects: nothing is ignored
        return np.ones(label.shape, np.bool_)
    valid: Array = label != IGNORE
    return valid


def _first(faults: Sequence[str]) -> tuple[str, ...]:
    rest = [f"and {len(faults) - SHOWN} more samples that cannot be read."] if len(faults) > SHOWN else []
    return (*faults[:SHOWN], *rest)


def _inverted(name: str, share: float) -> str:
    return (
        f"{name}: {share:.0%} of all pixels are foreground. The masks look inverted: "
        "is the object stored as 0? The layout alabama, or image_folder with labels '0', reads such masks."
    )
