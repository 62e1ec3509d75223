"""What runs started from: checkpoints of other runs, recognised by the digests that provenance.json keeps.

A digest that no run of the study has any more means that the other run was trained again since. One that
belongs to another seed means that runs were paired wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pkgs.foundation.files import read_json
from pkgs.foundation.provenance import digest_file
from pkgs.reports.runs import Run, Study

DIGESTS: Final = "digests.json"
"""Beside the weights of each checkpoint: the digest of every file of it."""
CHECKPOINTS: Final = ("last", "best")
MIN_DIGITS: Final = 8
"""Digests are cut to different lengths; fewer digits than this say nothing."""


def origin_problems(study: Study, shared: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield a sentence per run that started from what is no longer there, or from another seed.

    Args:
        study: The runs.
        shared: Conditions that start from the checkpoints of several seeds on purpose.
    """
    starts = {run.name: inputs_of(run) for run in study.runs}
    if not any(starts.values()):
        return
    kept: dict[str, list[Run]] = {}
    names: set[str] = set()
    for run in (*study.runs, *study.other_jobs):
        for name, digest in checkpoint_digests(run):
            kept.setdefault(digest[:MIN_DIGITS], []).append(run)
            names.add(name)
    for run in study.runs:
        for name, digests in starts[run.name].items():
            found = [kept.get(digest[:MIN_DIGITS], []) for digest in digests]
            if any(name.startswith(known) for known in names):  # else it may be from outside the study
                gone = [digest for digest, runs in zip(digests, found, strict=True) if not runs]
                yield from _stale(run, name, gone)
            yield from _other_seeds(run, name, found, may_share=run.condition in shared)


def _stale(run: Run, name: str, gone: list[str]) -> Iterator[str]:
    if gone:
        listed = ", ".join(digest[:MIN_DIGITS] for digest in gone)
        yield (
            f"{run.name}: started from {name} ({listed}), which no run of the study has any more: trained "
            "again since, or lost. Run this one again (in Jobs.csv: status rerun)."
        )


def _other_seeds(run: Run, name: str, found: list[list[Run]], *, may_share: bool) -> Iterator[str]:
    seeds = {other.seed for runs in found for other in runs if other.seed is not None}
    if seeds and run.seed is not None and run.seed not in seeds and not may_share:
        origin = next(other.condition for runs in found for other in runs)
        listed = ", ".join(map(str, sorted(seeds)))
        yield f"{run.name}: started from {name} of {origin}, seed {listed}; expected its own seed."


def inputs_of(run: Run) -> dict[str, tuple[str, ...]]:
    """Return the digests of what a run started from, by name, as its provenance.json tells."""
    told = run.results.provenance.get("inputs")
    if not isinstance(told, Mapping):
        return {}
    inputs = {str(name): tuple(_texts(value)) for name, value in told.items()}
    return {name: digests for name, digests in inputs.items() if digests}


def _texts(value: object) -> Iterator[str]:
    """Yield every digest in a value that is one, or a list or table of them."""
    if isinstance(value, str) and len(value) >= MIN_DIGITS:
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def checkpoint_digests(run: Run) -> Iterator[tuple[str, str]]:
    """Yield name and digest of each file of weights that the run has now."""
    for checkpoint in CHECKPOINTS:
        folder = run.folder.checkpoints / checkpoint
        told = read_json(folder / DIGESTS)
        for path in sorted(folder.glob("*.safetensors")):
            digest = told.get(path.name) if isinstance(told, dict) else None
            yield path.stem, digest if isinstance(digest, str) else _digest(path)


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError:
        return ""
