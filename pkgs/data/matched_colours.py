"""By which statistics a set's colours are moved to those of DataCentric. Loads no torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pkgs.data.cache.sources import collect
from pkgs.data.channel_statistics import Statistics, channel_statistics
from pkgs.data.config import DataConfig
from pkgs.data.items import Reader, Sample
from pkgs.data.prepare.colour_match import ColourMatch
from pkgs.data.readers.datacentric import COLOURS
from pkgs.foundation.files import read_json, write_json

log = logging.getLogger(__name__)
FOLDER: Final = "colours"
"""Below the folder of the cache; one file of statistics per state of a data set."""
JUDGES: Final = ("val", "test")


def match_for(
    config: DataConfig, *, reader: Reader, samples: Sequence[Sample], tick: Callable[[], None]
) -> ColourMatch | None:
    """Return how the images of a set are matched, None if they stay as they are.

    The set's own statistics leave out what its release gives to val or test. They do not depend on the split,
    so that all folds share one cache.

    Args:
        config: Of the set; `colour_match` decides.
        reader: Of the set.
        samples: All of it.
        tick: Called after each image, for a heartbeat.

    Raises:
        DataError: If an image cannot be read.
    """
    if config.colour_match == "none":
        return None
    if config.colour_match == "per_image":
        return ColourMatch(COLOURS)
    known = [sample for sample in samples if sample.part not in JUDGES] or list(samples)
    _, state = collect(known, root=Path(config.root), key_by=config.cache.key_by)
    path = config.cache.place() / FOLDER / f"{state.hex()[:32]}.json"
    own = _read(path) or channel_statistics(reader, known, tick=tick)
    _store(path, own)
    return ColourMatch(COLOURS, own)


def _read(path: Path) -> Statistics | None:
    stored = read_json(path)
    if not isinstance(stored, dict) or stored.keys() != {"mean", "std"}:
        return None
    return Statistics(tuple(stored["mean"]), tuple(stored["std"]))


def _store(path: Path, own: Statistics) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(own))
    except OSError as error:
        log.warning("%s: cannot be written (%s); every start counts the colours anew.", path, error.strerror)
