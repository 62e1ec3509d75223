"""A trained teacher asked about labels as they were given: where are they wrong? Knows no truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pkgs.data.config import DataConfig, SplitConfig
from pkgs.data.labelled import open_labelled
from pkgs.data.patch_maps import WRONG, Rows, write_maps
from pkgs.data.samples import Part
from pkgs.ensemble.evaluation import judging
from pkgs.errormap.decoding import error_chance
from pkgs.errormap.loss import seen_of, true_mask
from pkgs.models.error_teacher import ErrorTeacher
from pkgs.teacher.config import ApplyConfig


@dataclass(frozen=True, slots=True)
class Given:
    """Images with labels that may be wrong."""

    part: Part
    name: str
    """Of the part of the split: `test` where none of them trained the teacher, else `train`."""


def given_labels(
    apply: ApplyConfig, own: DataConfig, *, test: Part, device: torch.device, check: Callable[[], None]
) -> Given:
    """Return what the teacher is asked about.

    Args:
        apply: Names another set, or none.
        own: The data of the run.
        test: Its test part, as it was opened for the judgement.
        device: Where cache mode `device` keeps images.
        check: Called while files are read.

    Raises:
        DataError: If the other set cannot be used.
    """
    as_they_lie = {"labels": "", "test_labels": ""}
    if apply.data is None:
        shared = own.split.by == "all"  # the images of test are those of train, with one mask each
        name = "train" if shared else "test"
        if not (own.test_labels or (shared and own.labels)):
            return Given(test, name)
        opened = open_labelled(own.model_copy(update=as_they_lie), device=device, tick=check)
        return Given(opened.test.between(range(len(test))), name)
    whole = apply.data.model_copy(update={**as_they_lie, "keep": "", "split": SplitConfig(by="all")})
    part = open_labelled(whole, device=device, tick=check).test
    return Given(part, "test")


def write_chances(
    folder: Path, teacher: ErrorTeacher, given: Given, *, batch: int, check: Callable[[], None]
) -> None:
    """Write the chance that the label is wrong, of each pixel of each image, as the maps `wrong` of the run.

        rho = clip((r - t0) / (1 - t0), 0, 1),    r = sigmoid(a u + b) of the image and its label

    0 where a label is ignored.

    Args:
        folder: Of the run.
        teacher: Left in its mode.
        given: Asked about.
        batch: Images at once.
        check: Called before each batch.

    Raises:
        DataError: If the disk refuses.
    """
    height, width = given.part.batch(np.array([0])).label_BHW.shape[1:]
    rows = _chances(teacher, given, batch=batch, check=check)
    write_maps(folder, WRONG, rows, count=len(given.part), sides=(height, width))


def _chances(teacher: ErrorTeacher, given: Given, *, batch: int, check: Callable[[], None]) -> Iterator[Rows]:
    part, groups = given.part, given.part.sources
    with judging(teacher):
        for start in range(0, len(part), batch):
            check()
            places = np.arange(start, min(start + batch, len(part)))
            samples = part.batch(places).to(teacher.slope.device)
            label = samples.label_BHW
            share = teacher(samples.image_BCHW, true_mask(label)).share_B1HW.float()
            chance = seen_of(error_chance(share), label)[:, 0].cpu().numpy()
            yield samples.ids, groups[start : start + len(places)], given.name, chance
