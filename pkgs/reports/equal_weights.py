"""Whether two conditions trained the same weights to the last bit, seed by seed.

Compared are the safetensors files that both have in `checkpoints/last`: names, types, shapes and values of
the tensors, without the text beside them. That names the run, and so differs on purpose.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgs.reports.runs import Run, Study

METADATA: Final = "__metadata__"
MAX_HEADER_BYTES: Final = 100_000_000
"""The format's own limit."""


def weights_digest(path: Path) -> str:
    """Return a digest of the tensors in a .safetensors file, whatever text stands beside them.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not of this format.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > MAX_HEADER_BYTES:
            raise ValueError(f"{path}: is no safetensors file (its header would have {size} bytes).")
        header = dict(json.loads(file.read(size)))
        header.pop(METADATA, None)
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Equality:
    """What a comparison of the weights of two conditions gave."""

    condition: str
    sentence: str
    as_expected: bool
    """False if a seed differs; what could not be compared is as expected."""


def compare_weights(study: Study, one: str, other: str, *, why: str) -> Equality:
    """Compare the last weights of `one` with those of `other`, seed by seed.

    Args:
        study: The runs.
        one: A condition.
        other: The condition whose weights it should share.
        why: Reason to expect it, from the plan.
    """
    absent = [name for name in (one, other) if not study.of(name)]
    if absent:
        text = f"{one} should equal {other} ({why}): {' and '.join(absent)} missing, not compared."
        return Equality(one, text, as_expected=True)
    there = {run.seed: run for run in study.of(other)}
    both = [(run, there[run.seed]) for run in study.of(one) if run.seed in there]
    same = {run.seed: _same(run, partner) for run, partner in both}
    equal = [seed for seed, result in same.items() if result is True]
    differing = [seed for seed, result in same.items() if result is False]
    unknown = [seed for seed in study.paired_seeds if same.get(seed) is None]
    left_out = f" Not compared, without weights of both: seed {_listed(unknown)}." if unknown else ""
    if differing:
        text = f"{one} differs from {other} in seed {_listed(differing)}, yet should not: {why}."
    elif equal:
        text = (
            f"{one} equals {other} to the last bit in {len(equal)} of {len(study.paired_seeds)} seeds: {why}."
        )
    else:
        text = f"{one} should equal {other} ({why}): no seed has the last weights of both yet."
        return Equality(one, text, as_expected=True)
    return Equality(one, text + left_out, as_expected=not differing)


def _same(run: Run, partner: Run) -> bool | None:
    """Return whether all weights that both hold agree; None where there is nothing to compare."""
    here, there = (_files(each) for each in (run, partner))
    names = here.keys() & there.keys()
    if not names:
        return None
    try:
        return all(weights_digest(here[name]) == weights_digest(there[name]) for name in names)
    except (OSError, ValueError):
        return None


def _files(run: Run) -> dict[str, Path]:
    return {path.name: path for path in (run.folder.checkpoints / "last").glob("*.safetensors")}


def _listed(seeds: Sequence[int | None]) -> str:
    return ", ".join("none" if seed is None else str(seed) for seed in seeds)
