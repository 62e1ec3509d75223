"""The images of one part of a split, in memory, and batches of them. Decides nothing about order.

Plain on purpose: one array per part. The packed file cache of specs/training.md takes its place later.
"""

# ruff: noqa: N815 - tensors end in their axes, fields too
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.formats.grey_image import digest_image, read_grey, read_labels
from pkgs.data.items import SHOWN, DataError, Sample, listed


@dataclass(frozen=True, slots=True)
class Batch:
    """Images [B, 1, H, W] float32 in [0, 1], labels [B, H, W] uint8 (0, 1, IGNORE) and who they are."""

    image_B1HW: Tensor
    label_BHW: Tensor
    ids: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        return Batch(self.image_B1HW.to(device), self.label_BHW.to(device), self.ids)


@dataclass(frozen=True, slots=True)
class Part:
    """All images of one part of the split."""

    ids: tuple[str, ...]
    sources: tuple[str, ...]
    images_NHW: Tensor
    """uint8 codes where every file is 8 bit and has the right size, else float32."""
    labels_NHW: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return copies of the samples at `indices`."""
        chosen = torch.from_numpy(indices)
        image = self.images_NHW[chosen]
        grey = image.float() / 255 if image.dtype == torch.uint8 else image
        return Batch(grey.unsqueeze(1), self.labels_NHW[chosen], tuple(self.ids[k] for k in indices))

    @property
    def foreground_share(self) -> float:
        return float((self.labels_NHW == 1).float().mean())


def load_part(
    samples: Sequence[Sample],
    *,
    size_px: int,
    digests: Mapping[str, str],
    tick: Callable[[], None] = lambda: None,
) -> Part:
    """Read the samples into memory.

    Args:
        samples: Which.
        size_px: Images of another shape are resized: bilinear with antialiasing, masks nearest.
        digests: What the split file says about each image; an image that has changed since is refused.
        tick: Called after each sample, for a heartbeat.

    Raises:
        DataError: Names every unequal pair of shapes (the first twenty), or the first file that cannot be
        read.
    """
    images, labels, unequal = [], [], []
    for sample in samples:
        image, mask = _files(sample)
        if digest_image(image) != digests[sample.id]:
            raise DataError(
                f"{image}: its pixels have changed since the split was written. Restore the file, "
                "or start with a new data.split.name."
            )
        grey, instances = read_grey(image), read_labels(mask)
        if grey.shape != instances.shape:
            unequal.append(f"{sample.id} (image {grey.shape}, mask {instances.shape})")
            continue
        images.append(_resized(torch.from_numpy(grey), size_px, mode="bilinear"))
        labels.append(_resized(torch.from_numpy(instances > 0).float(), size_px, mode="nearest-exact").byte())
        tick()
    if unequal:
        shown = f"; the first {SHOWN}" if len(unequal) > SHOWN else ""
        raise DataError(f"{len(unequal)} images and masks differ in shape{shown}: {listed(unequal)}.")
    return Part(
        ids=tuple(sample.id for sample in samples),
        sources=tuple(sample.group for sample in samples),
        images_NHW=_compact(torch.stack(images)),
        labels_NHW=torch.stack(labels),
    )


def _files(sample: Sample) -> tuple[Path, Path]:
    if "label" not in sample.files:
        raise DataError(
            f"{sample.id}: has no mask file. Choose a data.layout whose images are labelled by masks."
        )
    return sample.files["image"], sample.files["label"]


def _resized(plane: Tensor, size_px: int, *, mode: str) -> Tensor:
    if plane.shape == (size_px, size_px):
        return plane
    smooth = mode == "bilinear"
    return F.interpolate(plane[None, None], size=(size_px, size_px), mode=mode, antialias=smooth)[0, 0]


def _compact(images: Tensor) -> Tensor:
    """Return 8-bit codes if they say exactly the same: a quarter of the memory."""
    codes = (images * 255).round().byte()
    return codes if torch.equal(codes.float() / 255, images) else images
