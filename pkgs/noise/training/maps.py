"""The probability of foreground of whole patches, for the ranking: of those that a run did not see.

Under `tta: d4` P is the mean over the 8 flips and quarter turns of a patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pkgs.data.labelled import Labelled
from pkgs.data.patch_maps import PROBABILITY, Rows, write_maps
from pkgs.data.samples import Part
from pkgs.ensemble.evaluation import batches_of, judging
from pkgs.ensemble.given import Given


def probability(network: nn.Module, image_BCHW: Tensor, *, tta: str) -> Tensor:
    """Return P [B, 1, H, W] of a network in evaluation mode, float32 on its device.

    Args:
        network: From images to `Output`.
        image_BCHW: Images in [0, 1]; of equal sides for `d4`, or a quarter turn changes their shape.
        tta: `none` or `d4`.
    """
    if tta == "none":
        return torch.sigmoid(network(image_BCHW).logits.float())
    total = torch.zeros_like(image_BCHW[:, :1], dtype=torch.float32)
    for turned in (False, True):
        seen = image_BCHW.flip(-1) if turned else image_BCHW
        for quarters in range(4):
            found = torch.sigmoid(network(seen.rot90(quarters, (-2, -1))).logits.float())
            found = found.rot90(-quarters, (-2, -1))
            total = total + (found.flip(-1) if turned else found)
    return total / 8


@dataclass(frozen=True, slots=True)
class Asked:
    """Patches of one part of the split."""

    part: Part
    name: str


def asked_in_run(data: Labelled, *, all_train: bool, every_part: bool) -> list[Asked]:
    """Return the patches of its own set that a run is asked about.

    Args:
        data: Of the run.
        all_train: Whether every patch trained.
        every_part: Whether those are asked too that trained.
    """
    if all_train:
        return [Asked(data.test, "train")]
    if every_part:
        return [Asked(data.train, "train"), Asked(data.val, "val"), Asked(data.test, "test")]
    return [Asked(data.test, "test")]


def asked_of(given: Given) -> list[Asked]:
    """Return the patches of another set."""
    return [Asked(given.part, given.name)]


def write_probabilities(  # noqa: PLR0913 - all by name
    folder: Path,
    network: nn.Module,
    asked: Sequence[Asked],
    *,
    tta: str,
    batch: int,
    check: Callable[[], None],
) -> int:
    """Write P of all patches as the maps `probability` of a run, and return how many they are.

    Args:
        folder: Of the run.
        network: Left in its mode.
        asked: Patches by part.
        tta: As in `probability`.
        batch: Images at once.
        check: Called before each batch.

    Raises:
        DataError: If the disk refuses, or patches differ in size.
    """
    count = sum(len(each.part) for each in asked)
    height, width = asked[0].part.batch(np.array([0])).label_BHW.shape[1:]
    rows = (row for each in asked for row in _rows(network, each, tta=tta, batch=batch, check=check))
    write_maps(folder, PROBABILITY, rows, count=count, sides=(height, width))
    return count


def _rows(
    network: nn.Module, asked: Asked, *, tta: str, batch: int, check: Callable[[], None]
) -> Iterator[Rows]:
    groups = asked.part.sources
    with judging(network):
        for places, samples in batches_of(network, asked.part, batch):
            check()
            maps: NDArray[Any] = probability(network, samples.image_BCHW, tta=tta)[:, 0].cpu().numpy()
            yield samples.ids, [groups[place] for place in places], asked.name, maps
