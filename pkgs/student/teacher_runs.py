"""Which runs the patterns of a configuration name: finished teachers of several seeds. Loads no torch."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from pkgs.foundation.run_folder import run_folders


def teacher_runs(patterns: Sequence[str]) -> list[Path]:
    """Return the run folders, each once, sorted; those that a rerun moved away are none.

    Raises:
        ValueError: If a pattern names no folder.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if not glob.has_magic(pattern):
            found[Path(pattern)] = None  # whether it is there is looked at with all other inputs
            continue
        runs = run_folders(pattern)
        if not runs:
            raise ValueError(
                f"expansion.teachers: {pattern!r} names no run folder. Train teachers first (in Jobs.csv: "
                "name their row under `after`, with `:all` for a committee), or name other folders."
            )
        found |= dict.fromkeys(runs)
    return list(found)
