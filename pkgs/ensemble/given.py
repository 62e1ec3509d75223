"""The patches that a trained network is asked about, with the labels that were given. Knows no truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pkgs.data.config import DataConfig
from pkgs.data.labelled import open_labelled
from pkgs.data.samples import Part
from pkgs.ensemble.apply_config import ApplyConfig


@dataclass(frozen=True, slots=True)
class Given:
    """Images with labels that may be wrong."""

    part: Part
    name: str
    """Of the part of the split: `test` where none of them trained the network, else `train`."""


def given_patches(
    apply: ApplyConfig, own: DataConfig, *, test: Part, device: torch.device, check: Callable[[], None]
) -> Given:
    """Return what the network is asked about.

    Args:
        apply: Names another set, or none.
        own: The data of the run.
        test: Its test part, as it was opened for the judgement.
        device: Where cache mode `device` keeps images.
        check: Called while files are read.

    Raises:
        DataError: If the other set cannot be used.
    """
    whole = apply.whole
    if whole is None:
        shared = own.split.by == "all"  # the images of test are those of train, with one mask each
        name = "train" if shared else "test"
        if not (own.test_labels or (shared and own.labels)):
            return Given(test, name)
        opened = open_labelled(
            own.model_copy(update={"labels": "", "test_labels": ""}), device=device, tick=check
        )
        return Given(opened.test.between(range(len(test))), name)
    part = open_labelled(whole, device=device, tick=check).test
    return Given(part, "test")
