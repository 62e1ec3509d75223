"""The labelled grey images of one part of a split, out of the cache. Decides nothing about order."""

# ruff: noqa: N815 - tensors end in their axes, fields too
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.cache.cache import Cache
from pkgs.data.cache.opening import open_cache
from pkgs.data.config import DataConfig
from pkgs.data.items import DataError, Preparation, Reader, Sample
from pkgs.data.prepare.foreground import Foreground
from pkgs.data.prepare.grey_codes import GreyCodes
from pkgs.data.prepare.resize import Resize

WHITE: Final[Mapping[torch.dtype, float]] = {torch.uint8: 255, torch.int32: 65535}
"""The code of white by the type in which the cache gives images of 8 and of 16 bits."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Images [B, 1, H, W], labels [B, H, W] uint8 (0, 1, IGNORE) and who they are.

    As it comes from the cache, images are codes; `to` makes them float32 in [0, 1], on the device.
    """

    image_B1HW: Tensor
    label_BHW: Tensor
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        image = self.image_B1HW.to(device)
        white = WHITE.get(image.dtype)
        grey = image if white is None else image.float() / white
        return Batch(grey, self.label_BHW.to(device), self.ids)


@dataclass(frozen=True, slots=True)
class Part:
    """Some samples of a cache, by their numbers in it."""

    cache: Cache
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def ids(self) -> list[str]:
        return [self.cache.ids[int(number)] for number in self.numbers]

    @property
    def sources(self) -> list[str]:
        return [self.cache.groups[int(number)] for number in self.numbers]

    def batch(self, places: NDArray[np.int64]) -> Batch:
        """Return the samples at these places of the part.

        Raises:
            DataError: The first that cannot be used: what is judged is never replaced.
        """
        numbers = self.numbers[places]
        arrays = self.cache.gather(numbers)
        return Batch(arrays["image"], arrays["label"], tuple(self.cache.ids[int(n)] for n in numbers))

    def between(self, places: range) -> Part:
        """Return some neighbours of the part."""
        return replace(self, numbers=self.numbers[places.start : places.stop])

    @property
    def foreground_share(self) -> float:
        return self.cache.foreground(self.numbers)


def open_images(
    samples: Sequence[Sample],
    *,
    reader: Reader,
    config: DataConfig,
    device: torch.device,
    tick: Callable[[], None] = lambda: None,
) -> Cache:
    """Open the cache of all labelled images of a data set; the first job on a machine fills it.

    Args:
        samples: All of the set: every split shares one file.
        reader: Decodes them.
        config: Root, size, depth and cache.
        device: Where mode `device` keeps them.
        tick: Called while headers are read and items are made, for a heartbeat.

    Raises:
        DataError: If samples have no masks, or no grey images.
    """
    unlabelled = next((sample.id for sample in samples if "label" not in sample.files), None)
    if unlabelled is not None:
        raise DataError(
            f"{unlabelled}: has no mask file. Choose a data.layout whose images are labelled by masks."
        )
    cache = open_cache(
        reader,
        samples,
        root=Path(config.root),
        preparations=preparations_of(config),
        config=config.cache,
        device=device,
        tick=lambda _done, _total: tick(),
    )
    channels = cache.header(0).arrays["image"].shape[0]
    if channels != 1:
        raise DataError(
            f"{config.root}: images of {channels} channels; expected grey ones. "
            "Convert them, or choose a data.layout of grey images."
        )
    return cache


def preparations_of(config: DataConfig) -> tuple[Preparation, ...]:
    """Return what is done to each sample before it is kept: one depth, object or ground, one size."""
    side = config.size_px
    return (GreyCodes(config.depth_bits), Foreground(), Resize((side, side)))
