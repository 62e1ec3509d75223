"""The figures of the training core as Markdown and as one flat object. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Final

from benchmarks.figures import Figures
from benchmarks.limits import MACHINE
from benchmarks.side_by_side import Measured
from benchmarks.tables import NONE, quantity, table

BEGIN: Final = "<!-- training-figures:begin -->"
END: Final = "<!-- training-figures:end -->"
OVERHEAD: Final = "loop_overhead"
"""The one measure that is told as ours over the peer's time, 1.01 for one percent more: less is better."""
PACKAGES: Final = ("torch", "numpy", "monai", "kornia", "torchmetrics")
LIMITS: Final = {
    "cpu_copy_gb_per_s": "copy of 64 MiB in memory, GB/s",
    "cpu_matmul_gflop_per_s": "product of two 1024 x 1024 matrices in float32, GFLOP/s",
    "cuda_copy_gb_per_s": "the copy on the GPU, GB/s",
    "cuda_matmul_gflop_per_s": "the product on the GPU, GFLOP/s",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ratio of a measure over its repeats, held against its target."""

    value: float
    low: float
    high: float
    target: float
    at_most: bool

    @property
    def met(self) -> bool:
        return self.value <= self.target if self.at_most else self.value >= self.target


def judge(measured: Measured) -> Verdict | None:
    """Return the verdict on a measure, None where it has no peer to be compared with."""
    ratios = measured.speed_ups()
    if not ratios:
        return None
    target, at_most = measured.target, measured.name == OVERHEAD
    if at_most:
        ratios, target = tuple(1 / ratio for ratio in ratios), 1 / target
    return Verdict(median(ratios), min(ratios), max(ratios), target, at_most)


def render(
    measured: Sequence[Measured], missing: Mapping[str, str], machine: Figures, *, header: str, quick: bool
) -> str:
    """Return header, table and limits."""
    rehearsal = "**A rehearsal on tiny inputs: no result.**\n\n" if quick else ""
    legend = "Each cell: median (smallest … largest of the repeats); the ratio is taken repeat by repeat."
    head = ["measure", "beside", "ours", "peer", "speed-up", "target", ""]
    rows = [_row(one) for one in measured]
    rows += [[name, NONE, NONE, NONE, NONE, NONE, why] for name, why in missing.items()]
    notes = "".join(f"\n\n{one.name}: {_sentence(one.note)}" for one in measured if one.note)
    overhead = f"\n\n{OVERHEAD} is no speed-up but time with the loop over time without it, less is better."
    overhead = overhead if any(one.name == OVERHEAD for one in measured) else ""
    limits = [
        [words, _limit(machine, piece)] for piece, words in LIMITS.items() if machine.get(MACHINE, piece)
    ]
    parts = [
        f"{rehearsal}{header}", f"With {versions()}.", legend,
        f"{table(head, rows)}{overhead}{notes}",
        "What the machine allows:", table(["piece", "median (range)"], limits),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def as_json(measured: Sequence[Measured], missing: Mapping[str, str], machine: Figures) -> dict[str, object]:
    """Return every figure by name; `--help` of the benchmark lists the forms of the names."""
    flat: dict[str, object] = {}
    for one in measured:
        verdict = judge(one)
        flat[one.name] = verdict and verdict.value
        if verdict is not None:
            flat |= {f"{one.name}.low": verdict.low, f"{one.name}.high": verdict.high}
            flat |= {f"{one.name}.peer": median(one.peer), f"{one.name}.target": verdict.target}
        flat |= {f"{one.name}.ours": median(one.ours), f"{one.name}.unit": one.unit}
        if one.note:
            flat[f"{one.name}.note"] = one.note
    for name, why in missing.items():
        flat |= {name: None, f"{name}.note": why}
    return flat | machine.as_json(ours="")


def versions() -> str:
    """Name what was measured, with versions; what is not installed is named as absent."""
    return ", ".join(f"{package} {_version(package)}" for package in PACKAGES)


def _row(one: Measured) -> list[str]:
    verdict = judge(one)
    cells = [one.name, one.peer_name, _cell(one.ours, one.unit), _cell(one.peer, one.unit)]
    if verdict is None:
        return [*cells, NONE, quantity(one.target, ""), "not measured"]
    spread = f"{_number(verdict.value)} ({_number(verdict.low)} … {_number(verdict.high)})"
    target = f"{'≤' if verdict.at_most else '≥'} {_number(verdict.target)}"
    return [*cells, spread, target, "met" if verdict.met else "**missed**"]


def _cell(values: Sequence[float], unit: str) -> str:
    if not values:
        return NONE
    middle, low, high = (_amount(value, unit) for value in (median(values), min(values), max(values)))
    seconds = unit == "s" or unit.startswith("s/")
    per = unit.removeprefix("s") if seconds else f" {unit}"
    return f"{middle}{per} ({low} … {high})"


def _amount(value: float, unit: str) -> str:
    return quantity(value, "time_s" if unit == "s" or unit.startswith("s/") else "")


def _number(value: float) -> str:
    """Return a ratio; near 1 the third decimal decides."""
    return f"{value:.3f}" if 0.9 < value < 1.1 else quantity(value, "")


def _limit(machine: Figures, piece: str) -> str:
    summary = machine.get(MACHINE, piece)
    assert summary is not None
    middle, low, high = (quantity(value, "") for value in (summary.median, summary.low, summary.high))
    return f"{middle} ({low} … {high})"


def _sentence(note: str) -> str:
    return f"{' '.join(note.split()).rstrip('.')}."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
