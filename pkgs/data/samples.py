"""The images of one part of a split, with labels and numbered objects, out of the cache: grey or colour.

Decides nothing about order. Images without labels: see `pool`.
"""

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
from pkgs.data.cache.loader import Fetched
from pkgs.data.cache.opening import open_cache
from pkgs.data.catalog import channels_of
from pkgs.data.config import DataConfig
from pkgs.data.items import DataError, Preparation, Reader, Sample
from pkgs.data.prepare.components import Components
from pkgs.data.prepare.foreground import Foreground
from pkgs.data.prepare.grey_codes import GreyCodes
from pkgs.data.prepare.object_numbers import INSTANCES, ObjectNumbers
from pkgs.data.prepare.resize import Resize

WHITE: Final[Mapping[torch.dtype, float]] = {torch.uint8: 255, torch.int32: 65535}
"""The code of white by the type in which the cache gives images of 8 and of 16 bits."""


@dataclass(frozen=True, slots=True)
class Images:
    """Images [B, C, H, W] without labels, and who they are.

    As it comes from the cache, images are codes; `to` makes them float32 in [0, 1], on the device.
    """

    image_BCHW: Tensor
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> Images:
        return Images(grey_on(device, self.image_BCHW), self.ids)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, as random transforms take them."""
        return {"image": self.image_BCHW}

    def holding(self, tensors: Mapping[str, Tensor]) -> Images:
        """Return the same samples with these tensors."""
        return Images(tensors["image"], self.ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Images [B, C, H, W], labels [B, H, W] uint8 (0, 1, IGNORE), perhaps numbered objects, and who they are.

    As it comes from the cache, images are codes; `to` makes them float32 in [0, 1], on the device.
    """

    image_BCHW: Tensor
    label_BHW: Tensor
    ids: tuple[str, ...]
    instances_BHW: Tensor | None = None
    """int32, 0 outside of objects; where the part was opened with them."""

    def to(self, device: torch.device) -> Batch:
        moved = {name: tensor.to(device) for name, tensor in self.tensors().items() if name != "image"}
        return self.holding({"image": grey_on(device, self.image_BCHW), **moved})

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, as random transforms take them."""
        known = {"image": self.image_BCHW, "label": self.label_BHW}
        return known if self.instances_BHW is None else {**known, INSTANCES: self.instances_BHW}

    def holding(self, tensors: Mapping[str, Tensor]) -> Batch:
        """Return the same samples with these tensors."""
        return Batch(tensors["image"], tensors["label"], self.ids, tensors.get(INSTANCES))


@dataclass(frozen=True, slots=True)
class Part:
    """Some samples of a cache, by their numbers in it."""

    cache: Cache
    numbers: NDArray[np.int64]
    instances: Cache | None = None
    """Numbered objects of the same samples; None where nobody asks for them."""

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
        ids = tuple(self.cache.ids[int(n)] for n in numbers)
        return Batch(arrays["image"], arrays["label"], ids, self._instances(numbers))

    def fetched(self, fetched: Fetched) -> Batch:
        """Return what a loader of this part has fetched, with the numbered objects where they were opened."""
        arrays = fetched.arrays
        return Batch(arrays["image"], arrays["label"], fetched.ids, self._instances(fetched.indices))

    def _instances(self, numbers: NDArray[np.int64]) -> Tensor | None:
        return None if self.instances is None else self.instances.gather(numbers)[INSTANCES]

    def between(self, places: range) -> Part:
        """Return some neighbours of the part."""
        return replace(self, numbers=self.numbers[places.start : places.stop])

    @property
    def foreground_share(self) -> float:
        return self.cache.foreground(self.numbers)


def grey_on(device: torch.device, codes_BCHW: Tensor) -> Tensor:
    """Return codes of the cache, grey or R, G, B, as float32 in [0, 1] on the device."""
    image = codes_BCHW.to(device)
    white = WHITE.get(image.dtype)
    return image if white is None else image.float() / white


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
        DataError: If samples have no masks, or images of other channels than the layout promises.
    """
    cache = _open(samples, preparations_of(config), reader=reader, config=config, device=device, tick=tick)
    if channels_of(config.layout) == 1:
        require_grey(cache, config.root)
    return cache


def open_instances(
    samples: Sequence[Sample],
    *,
    reader: Reader,
    config: DataConfig,
    device: torch.device,
    tick: Callable[[], None] = lambda: None,
) -> Cache:
    """Open the cache of the numbered objects of the same samples: a file of its own, beside that of images.

    So runs that need none pay nothing, and caches of earlier versions stay good. Arguments and errors as
    `open_images`; give the result as `Part(images, numbers, instances)`. Masks of colour images hold one
    class: what hangs together in them is an object.
    """
    number = ObjectNumbers() if channels_of(config.layout) == 1 else Components()
    steps = (number, Resize((config.size_px, config.size_px)))
    return _open(samples, steps, reader=reader, config=config, device=device, tick=tick)


def _open(  # noqa: PLR0913 - all by name
    samples: Sequence[Sample],
    preparations: Sequence[Preparation],
    *,
    reader: Reader,
    config: DataConfig,
    device: torch.device,
    tick: Callable[[], None],
) -> Cache:
    unlabelled = next((sample.id for sample in samples if "label" not in sample.files), None)
    if unlabelled is not None:
        raise DataError(
            f"{unlabelled}: has no mask file. Choose a data.layout whose images are labelled by masks."
        )
    return open_cache(
        reader,
        samples,
        root=Path(config.root),
        preparations=preparations,
        config=config.cache,
        device=device,
        tick=lambda _done, _total: tick(),
    )


def require_grey(cache: Cache, root: str) -> None:
    """Refuse images of several channels.

    Raises:
        DataError: Names the folder, and the cure.
    """
    channels = cache.header(0).arrays["image"].shape[0]
    if channels != 1:
        raise DataError(
            f"{root}: images of {channels} channels; expected grey ones. "
            "Convert them, or choose a data.layout of grey images."
        )


def preparations_of(config: DataConfig) -> tuple[Preparation, ...]:
    """Return what is done to each sample before it is kept: one depth, object or ground, one size.

    Colour images stay codes of 8 bits in the order R, G, B.
    """
    resize = Resize((config.size_px, config.size_px))
    if channels_of(config.layout) > 1:
        return (Foreground(), resize)
    return (GreyCodes(config.depth_bits), Foreground(), resize)
