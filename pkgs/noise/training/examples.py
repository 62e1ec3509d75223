"""What a network sees and says now and then: image, label and prediction side by side, to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

import numpy as np
import torch
from PIL import Image
from torch import nn

from pkgs.data.items import IGNORE
from pkgs.data.samples import Part
from pkgs.ensemble.evaluation import judging
from pkgs.noise.training.stopping import EarlyStop

GAP_PX: Final = 4
GREY: Final = 128
"""Of ignored pixels."""


@final
class Onlooker:
    """A `loop.Watcher`: saves examples of val, and ends a run as `EarlyStop` says.

    Args:
        network: Looked at.
        val: Its first patches are shown.
        places: Which ones.
        folder: Gets `step_<n>/<id>.png`: image in true colours, label, P(foreground), from left to right.
        every: After how many steps; 0: never.
        stop: Says whether it is over; None: never before the last step.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        network: nn.Module,
        val: Part,
        *,
        places: list[int],
        folder: Path | None,
        every: int,
        stop: EarlyStop | None,
    ) -> None:
        self.network, self.val, self.places, self.folder, self.stop = network, val, places, folder, stop
        self._every = every

    @property
    def every(self) -> int:
        return self._every or 1 << 62  # the last step is always due

    @property
    def over(self) -> bool:
        return self.stop is not None and self.stop.over

    def look(self, step: int, /) -> Mapping[str, float]:
        """Save what the network says of the patches; adds nothing to val.csv."""
        if not step or not self._every or self.folder is None:
            return {}
        target = self.folder / f"step_{step:06}"
        target.mkdir(parents=True, exist_ok=True)
        device = next(self.network.parameters()).device
        with judging(self.network):
            for place in self.places:
                sample = self.val.batch(np.array([place])).to(device)
                p_HW = torch.sigmoid(self.network(sample.image_BCHW).logits.float())[0, 0]
                image_HWC = (sample.image_BCHW[0].movedim(0, -1) * 255).round().byte().cpu().numpy()
                label_HW = sample.label_BHW[0].cpu().numpy()
                marks_HW = np.where(label_HW == IGNORE, GREY, 255 * (label_HW == 1)).astype(np.uint8)
                shown = side_by_side(image_HWC, marks_HW, (p_HW * 255).round().byte().cpu().numpy())
                Image.fromarray(shown).save(target / f"{sample.ids[0].replace('/', '__')}.png")
        return {}


def side_by_side(*pictures: np.ndarray) -> np.ndarray:
    """Return pictures [H, W] or [H, W, 1 or 3] as one RGB picture, white between them."""
    height = pictures[0].shape[0]
    gap = np.full((height, GAP_PX, 3), 255, np.uint8)
    coloured = [
        np.repeat(picture.reshape(height, -1, 1), 3, axis=2)
        if picture.ndim == 2 or picture.shape[2] == 1
        else picture
        for picture in pictures
    ]
    return np.concatenate([part for picture in coloured for part in (picture, gap)][:-1], axis=1)


def spread_over(patches: int, *, count: int) -> list[int]:
    """Return up to `count` places, evenly spread."""
    step = max(1, patches // count)
    return list(range(0, patches, step))[:count]
