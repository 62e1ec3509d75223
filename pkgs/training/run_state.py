"""What a run folder says about the run: whether it is finished, or another run. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pkgs.foundation.config import Section, load_config
from pkgs.foundation.run_folder import RunFolder
from pkgs.training.checkpoint_folder import newest_whole
from pkgs.training.tables import Table


def is_finished(folder: RunFolder) -> bool:
    """Say whether the run was judged; test.csv is written last, in one piece."""
    return any(row["weights"] == "last" for row in Table(folder.test_csv, ()).rows())


def differences(folder: RunFolder, config: Section) -> list[str]:
    """Return one sentence if the folder holds a run with other settings; it names each key that differs."""
    if not folder.config.exists():
        return []
    try:
        before = _flat(load_config(type(config), folder.config).model_dump(mode="json"))
    except ValueError as error:
        return [f"{error} This run was made by another version; move {folder.path} away to start anew."]
    now = _flat(config.model_dump(mode="json"))
    differing = [f"{key} was {before[key]!r}, now {now[key]!r}" for key in now if before[key] != now[key]]
    if not differing:
        return []
    return [
        f"{folder.path}: was begun with other settings ({'; '.join(differing)}). Take them back, or move the "
        "folder away to start anew (in Jobs.csv: status rerun)."
    ]


def damaged_checkpoints(folder: RunFolder) -> list[str]:
    """Return one sentence for each damaged checkpoint."""
    return [*newest_whole(folder.checkpoints, "last")[1], *newest_whole(folder.checkpoints, "best")[1]]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
