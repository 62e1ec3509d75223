"""The three parts of a labelled set, found, checked and opened: for a training, and for every later judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from pkgs.data.cache.cache import Cache
from pkgs.data.cache.packed_file import marks
from pkgs.data.cache.recipe import BadItemError
from pkgs.data.catalog import channels_of
from pkgs.data.config import DataConfig
from pkgs.data.inputs import Inputs, find
from pkgs.data.samples import Part, open_images, open_instances

LOOKED_AT: Final = 256
"""Training masks, at most, in which the share of foreground is counted at the start."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Who trains, who chooses, who judges; the judging ones with numbered objects."""

    inputs: Inputs
    train: Part
    val: Part
    test: Part


def open_labelled(
    config: DataConfig, *, device: torch.device, tick: Callable[[], None] = lambda: None
) -> Labelled:
    """Return the parts of the split; the first run on a data set writes the split file and makes the cache.

    Args:
        config: Which set.
        device: Where cache mode `device` keeps the images.
        tick: Called while files are read, for a heartbeat.

    Raises:
        DataError: If data are missing, unpaired, changed, or do not fit the split file.
    """
    inputs = find(config, tick=tick)
    images, instances = (
        opened(inputs.samples, reader=inputs.reader, config=config, device=device, tick=tick)
        for opened in (open_images, open_instances)
    )
    train, val, test = (np.array(inputs.numbers(name)) for name in ("train", "val", "test"))
    if channels_of(config.layout) > 1:
        inputs = replace(inputs, warnings=(*inputs.warnings, *_inverted(images, train, tick)))
    return Labelled(inputs, Part(images, train), Part(images, val), Part(images, test, instances))


def _inverted(images: Cache, train: NDArray[np.int64], tick: Callable[[], None]) -> list[str]:
    """Return a warning if more than half of the ground is foreground; looks at evenly spread samples."""
    marked = judged = 0
    for number in train[:: -(-len(train) // LOOKED_AT) or 1]:
        try:
            label = images.item(int(number))["label"]
        except BadItemError:  # the loader lists it, and says when there are too many
            continue
        here, all_here = marks(label)
        marked, judged = marked + here, judged + all_here
        tick()
    if marked <= judged / 2:
        return []
    return [
        f"The masks look inverted: {marked / judged:.0%} of the training part is foreground. "
        "Is 0 the building there? Then invert the masks, or name the folders image/ and mask/ and choose "
        "data.layout: alabama."
    ]
