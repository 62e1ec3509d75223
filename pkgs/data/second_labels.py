"""A second mask for the images of a part: the clean ones beside the noisy ones that train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pkgs.data.cache.cache import Cache
from pkgs.data.cache.opening import open_cache
from pkgs.data.config import DataConfig
from pkgs.data.inputs import Inputs
from pkgs.data.other_labels import with_labels
from pkgs.data.prepare.label_alone import LabelAlone
from pkgs.data.samples import Part, preparations_of


def open_second_labels(  # noqa: PLR0913 - all by name
    part: Part,
    inputs: Inputs,
    *,
    folder: str,
    config: DataConfig,
    device: torch.device,
    tick: Callable[[], None] = lambda: None,
) -> Cache:
    """Return the masks in `folder` of the part's images, by their place in the part.

    Args:
        part: Some of the labelled images, opened with `config`.
        inputs: All of them.
        folder: Holds a mask of the name of each image, in the coding of the set.
        config: Root, size and cache.
        device: Where cache mode `device` keeps masks.
        tick: Called while files are read, for a heartbeat.

    Raises:
        DataError: If the folder or masks are missing.
    """
    samples = with_labels(
        [inputs.samples[int(number)] for number in part.numbers],
        folder=folder,
        parts=("all",),
        part_of=dict.fromkeys(part.ids, "all"),
        setting="clean_labels",
    )
    return open_cache(
        inputs.reader,
        samples,
        root=Path(config.root),
        preparations=(*preparations_of(config), LabelAlone()),
        config=config.cache,
        device=device,
        tick=lambda _done, _total: tick(),
    )
