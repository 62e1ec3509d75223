"""The numbers that our queue has to reach. One that is missed stands in the table with its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.catalog import OURS
from benchmarks.figures import Figures, percentile


@dataclass(frozen=True, slots=True)
class Target:
    """At most `limit`, in the unit that the measure's name ends with."""

    measure: str
    words: str
    limit: float
    percent: float = 50
    """Which percentile of all samples is held against the limit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured for a target; None when it was not."""

    target: Target
    value: float | None

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.value <= self.target.limit


TARGETS: Final = (
    Target("exit_json.gap_median_s", "end of a run to start of the next, median", 0.025),
    Target("exit_json.gap_p99_s", "the same, 99th percentile", 0.080),
    Target("edit_to_effect_s", "row saved to process running, median", 0.5),
    Target("edit_to_effect_s", "the same, 99th percentile", 1.0, 99),
    Target("gpus_filled_s", "8 pretended GPUs filled from rest", 1.0),
    Target("status_small_s", "`status` of a small queue", 0.25),
    Target("status_s.10000", "`status` at 10,000 rows, manager running", 0.5),
    Target("add_s.10000", "`add` at 10,000 rows, manager running", 0.3),
    Target("start_s.10000", "start of the manager to the first process, 10,000 rows", 1.0),
    Target("start_s.100000", "the same, 100,000 rows", 5.0),
    Target("history.start_ratio", "start after 100,000 ended attempts, against before", 1.2),
    Target("history.status_ratio", "`status`, the same", 1.2),
    Target("history.add_ratio", "`add`, the same", 1.2),
    Target("idle.cpu_percent", "CPU at rest with 10,000 rows, of one core", 0.5),
    Target("manager.rss_mb", "resident memory of the manager at 10,000 rows", 120),
    Target("shim.rss_mb", "resident memory of a shim", 12),
    Target("heavy_imports", "torch, numpy, pandas loaded by `import pkgs.jobqueue`", 0),
    Target("kill.lost", "manager killed -9 with 4 running: lost, worst repeat", 0, 100),
    Target("kill.doubled", "done twice, worst repeat", 0, 100),
    Target("kill.wrong_code", "wrong exit code, worst repeat", 0, 100),
)


def judge(figures: Figures) -> list[Verdict]:
    """Hold our figures against the targets, in the order of the list."""
    verdicts = []
    for target in TARGETS:
        summary = figures.get(OURS.name, target.measure)
        if summary is None:
            verdicts.append(Verdict(target, None))
        elif target.percent == 50:
            verdicts.append(Verdict(target, summary.median))
        else:
            samples = figures.samples[f"{OURS.name}.{target.measure}"]
            verdicts.append(Verdict(target, percentile(samples, target.percent)))
    return verdicts
