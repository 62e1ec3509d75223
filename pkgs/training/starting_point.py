"""A checkpoint of another run from which this one starts: whether it is there, and which it is. No torch.

Its digest stands in provenance.json: a run that goes on with another teacher than it began with is no run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pkgs.foundation.files import read_json
from pkgs.foundation.run_folder import RunFolder
from pkgs.training.checkpoint_folder import DIGESTS, Name, newest_whole
from pkgs.training.run_state import is_finished

DIGITS = 16
INPUTS = "inputs"
"""Key of provenance.json: digests by the name of the input."""


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The weights of one network at the end of another run."""

    run: Path
    module: str
    """Name of the file of weights, without its ending: `teacher`, `student`."""
    weights: Name = "last"

    @property
    def file(self) -> Path:
        """Where the weights lie."""
        return self.run / "checkpoints" / self.weights / f"{self.module}.safetensors"

    def fault(self) -> str | None:
        """Say in one sentence why nothing can start from here, None if it can."""
        found, notes = newest_whole(self.run / "checkpoints", self.weights)
        if found is None:
            why = "; ".join(notes) or f"has no checkpoint {self.weights!r}"
            return f"{self.run}: {why}. {self._cure()}"
        if not is_finished(RunFolder(self.run)):
            return f"{self.run}: that run has not come to its end. {self._cure()}"
        if not (found / f"{self.module}.safetensors").exists():
            return (
                f"{self.run}: its checkpoint has no {self.module}.safetensors; that run trains no "
                f"{self.module}. Name the folder of a run that does."
            )
        return None

    def digest(self) -> str:
        """Return the digest of the weights, as their checkpoint wrote it down.

        Raises:
            ValueError: If there is no such whole checkpoint.
        """
        found, _ = newest_whole(self.run / "checkpoints", self.weights)
        digests: Any = read_json(found / DIGESTS) if found else None
        name = f"{self.module}.safetensors"
        if not isinstance(digests, dict) or name not in digests:
            raise ValueError(self.fault() or f"{self.run}: checkpoint {self.weights!r} has no {name}.")
        return str(digests[name])[:DIGITS]

    def _cure(self) -> str:
        return (
            "Train it first (in Jobs.csv: name its row under `after`), or name another run folder in the "
            "configuration."
        )


def faults_of(points: Mapping[str, StartingPoint]) -> list[str]:
    """Return one sentence for each input from which nothing can start."""
    return [f"{name}: {fault}" for name, point in points.items() if (fault := point.fault()) is not None]


def changed_inputs(folder: RunFolder, points: Mapping[str, StartingPoint]) -> list[str]:
    """Return one sentence if a run in `folder` was begun with other inputs than lie there now.

    Call it where `faults_of` has found nothing.
    """
    told: Any = read_json(folder.provenance) if folder.provenance.exists() else None
    if not isinstance(told, dict) or INPUTS not in told:
        return []
    before = dict(told[INPUTS])
    now = {name: point.digest() for name, point in points.items()}
    differing = [
        f"{name} was {before.get(name, 'absent')}, now {now.get(name, 'absent')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if not differing:
        return []
    return [
        f"{folder.path}: its inputs have changed since it began ({'; '.join(differing)}). Bring them back, "
        "or move the folder away to start anew (in Jobs.csv: status rerun)."
    ]
