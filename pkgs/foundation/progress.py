"""progress.json: how far a run is. Replaced whole; its age is the heartbeat that the queue watches."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pkgs.foundation.files import read_json
from pkgs.foundation.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running job tells the world."""

    step: int
    steps: int
    epoch: int = 0
    seconds_per_step: float | None = None
    eta_unix_s: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last values of what the job measures, by name."""


def write_progress(folder: RunFolder, progress: Progress) -> None:
    """Replace the run's progress.json. Not synced: it is stale after a power cut anyway."""
    draft = folder.progress.with_name(f".{folder.progress.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(progress)) + "\n")
    draft.replace(folder.progress)


def read_progress(folder: RunFolder) -> Progress | None:
    """Return the run's progress, or None when there is none or it is not of this form."""
    raw = read_json(folder.progress)
    if not isinstance(raw, dict):
        return None
    known = {name: raw[name] for name in Progress.__dataclass_fields__ if name in raw}
    try:
        progress = Progress(**known)
    except TypeError:
        return None
    return progress if isinstance(progress.step, int) and isinstance(progress.steps, int) else None
