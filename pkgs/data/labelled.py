"""The three parts of a labelled set, found, checked and opened: for a training, and for every later judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from pkgs.data.config import DataConfig
from pkgs.data.inputs import Inputs, find
from pkgs.data.samples import Part, open_images, open_instances


@dataclass(frozen=True, slots=True)
class Labelled:
    """Who trains, who chooses, who judges; the judging ones with numbered objects."""

    inputs: Inputs
    train: Part
    val: Part
    test: Part

    def with_objects(self) -> Labelled:
        """Return the parts all with numbered objects, for who trains on these as well."""
        train, val = (replace(part, instances=self.test.instances) for part in (self.train, self.val))
        return replace(self, train=train, val=val)

    def short(self, count: int) -> Labelled:
        """Return the first `count` samples of each part, for a short training."""
        train, val, test = (part.between(range(count)) for part in (self.train, self.val, self.test))
        return Labelled(self.inputs, train, val, test)


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
    return Labelled(inputs, Part(images, train), Part(images, val), Part(images, test, instances))
