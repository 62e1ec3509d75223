"""Where everything of a run lies: the one place that knows the file names of a run folder.

The run folder is all that the queue, a job, the report and the dashboard share (design.md section 8).
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SET_ASIDE: Final = re.compile(r"\.\d+$")
"""How the name of a run folder ends that a rerun has moved away: `seed_3.1`."""


def run_folders(pattern: str) -> list[Path]:
    """Return the folders that a pattern such as `.../seed_*` matches, sorted; those set aside are none."""
    found = (Path(path) for path in glob.glob(pattern))
    return sorted(path for path in found if path.is_dir() and not SET_ASIDE.search(path.name))


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """`attempts/<k>/`: one process that tried to do the run."""

    path: Path

    @property
    def launch(self) -> Path:
        return self.path / "launch.json"

    @property
    def shim(self) -> Path:
        """Who watches over the attempt: boot id, pid, start time."""
        return self.path / "shim.json"

    @property
    def output(self) -> Path:
        return self.path / "output.log"

    @property
    def exit(self) -> Path:
        return self.path / "exit.json"

    @property
    def usage(self) -> Path:
        """What the attempt used of its devices: energy, peak memory, mean utilisation."""
        return self.path / "usage.json"

    @property
    def nan(self) -> Path:
        """What caused a NaN: batch, weights, generators."""
        return self.path / "nan"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`<root>/<id>/[<condition>/][seed_<n>/]`."""

    path: Path

    @classmethod
    def of(cls, root: Path, job: str, *, condition: str | None = None, seed: int | None = None) -> RunFolder:
        path = root / job
        if condition is not None:
            path /= condition
        if seed is not None:
            path /= f"seed_{seed}"
        return cls(path)

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.json"

    @property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @property
    def train_csv(self) -> Path:
        return self.path / "train.csv"

    @property
    def val_csv(self) -> Path:
        return self.path / "val.csv"

    @property
    def test_csv(self) -> Path:
        return self.path / "test.csv"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def alarms(self) -> Path:
        """What a monitor found; an empty list: it looked and found nothing."""
        return self.path / "alarms.json"

    @property
    def committee(self) -> Path:
        """How several networks are asked together, chosen before the first step."""
        return self.path / "committee.json"

    @property
    def bad_samples(self) -> Path:
        """Training samples that could not be used, and why."""
        return self.path / "bad_samples.csv"

    @property
    def trackers(self) -> Path:
        """What optional trackers write: event files, offline runs, a local store."""
        return self.path / "trackers"

    @property
    def attempts(self) -> Path:
        return self.path / "attempts"

    def attempt(self, number: int) -> AttemptFolder:
        """Return the folder of attempt `number`, counted from 1."""
        return AttemptFolder(self.attempts / str(number))

    def newest_attempt(self) -> int:
        """Return the highest number among the attempts on disk, 0 if there are none."""
        try:
            names = [entry.name for entry in self.attempts.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return 0
        return max((int(name) for name in names if name.isdecimal()), default=0)
