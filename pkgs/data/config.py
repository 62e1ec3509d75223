"""Settings of data, split and augmentation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pkgs.data.cache.config import CacheConfig, LoaderConfig
from pkgs.data.transforms.config import PositiveSpan, Share
from pkgs.foundation.config import Section


class SplitConfig(Section):
    """Who trains, who chooses, who judges. Written to a file once and read from it ever after."""

    by: Literal["source", "group", "patch", "file", "folds", "all"] = "source"
    """`source`: no source in two parts, the only sound choice where neighbouring sections look alike.
    `group`: no patient, volume or tile in two parts, and parts that the release gives stay.
    `patch`: parity with published numbers, leaks. `file`: the file as it is, made by hand.
    `folds`: groups in k folds, `fold` judges. `all`: every image trains, validates and judges, so that no
    score is one of unseen images; to measure what that hides."""

    seed: int = 42
    """Of the shuffling; fixed across the seeds of a job, so that all are tested on the same images."""

    train: float = Field(default=0.80, gt=0, lt=1)
    val: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.05, gt=0, lt=1)
    """Shares of the images, with `group` of the groups in what is divided; the three sum to 1."""

    stratify: bool = False
    """With `group`: each class gives its share to each part; a group counts for the rarest class it holds."""

    min_sources: int = Field(default=5, ge=1)
    """At least so many sources in val and in test each: a mean over fewer says little about unseen ones."""

    max_source_share: float = Field(default=0.05, gt=0, le=1)
    """A source with a larger share of all images may not enter val or test: it alone would be the score."""

    folds: int = Field(default=5, ge=2)
    """With `folds`: how many, each of about as many images."""

    fold: int = Field(default=0, ge=0)
    """With `folds`: which one is test, from 0."""

    fold_val: float = Field(default=0.1, gt=0, lt=1)
    """With `folds`: share of the groups of the other folds that is val, at least one group."""

    name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")
    """Name of the file below `splits/`; empty: `<by>_seed<seed>`, with `_stratified` where it is;
    `folds<k>_seed<seed>` for all of the k folds."""

    @property
    def file_name(self) -> str:
        count = self.folds if self.by == "folds" else ""
        usual = f"{self.by}{count}_seed{self.seed}{'_stratified' if self.stratify else ''}"
        return f"{self.name or usual}.csv"

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + val + test must be 1, got {total:g}")
        return self

    @model_validator(mode="after")
    def _only_groups_are_stratified(self) -> Self:
        if self.stratify and self.by != "group":
            raise ValueError(f"stratify has no effect with by: {self.by}; choose by: group, or leave it out")
        return self

    @model_validator(mode="after")
    def _the_fold_exists(self) -> Self:
        if self.by == "folds" and self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}; {self.folds} folds are numbered 0 to {self.folds - 1}")
        return self


class SetConfig(Section):
    """A further labelled set."""

    root: str
    """Its folder."""

    layout: str
    """Name of its reader; becomes the first part of its samples' ids, `<layout>/<id>`."""


class DataConfig(Section):
    """Which images, and how large the network sees them."""

    root: str
    """Folder of the data set; `python -m utility.prepare_data` makes it. Seen from the current folder."""

    layout: str = "cem_mitolab"
    """Name of the reader (`pkgs/data/catalog.py`)."""

    size_px: int = Field(default=224, ge=16, multiple_of=16)
    """Side to which every patch of another size is resized (see `fit`). 16: the networks halve it four times
    at most."""

    fit: Literal["resize", "tile"] = "resize"
    """`tile`: larger images are cut into windows of `size_px`, `<id>/<row>_<column>`, which stay in one part;
    smaller ones are resized. What ranks whole images needs `resize`."""

    depth_bits: Literal[8, 16] = 16
    """Depth of the grey values in the cache. 16 keeps images of 8 and of 16 bits exactly; 8 takes half the
    room and rounds deeper images to 1/255."""

    colour_match: Literal["none", "per_image", "per_dataset"] = "none"
    """Colour images in the colours of DataCentric, by mean and spread of each channel: `per_image` by its
    own, `per_dataset` by those of its set (without released val and test). Every set of `also` likewise."""

    also: tuple[SetConfig, ...] = ()
    """Further labelled sets, each split by itself with the same `split`; parts that a release gives stay."""

    labels: str = ""
    """Folder of masks of equal names that training and val see instead of those of `root`: `corrected/` of a
    ranking. In the coding of the layout. Sets of `also` keep theirs."""

    test_labels: str = ""
    """The same for test: the clean masks, where labels are noisy."""

    keep: str = ""
    """Text file of samples' ids, one per line: no others train; val and test stay. Empty: all train."""

    split: SplitConfig = SplitConfig()
    cache: CacheConfig = CacheConfig()
    loader: LoaderConfig = LoaderConfig()

    @model_validator(mode="after")
    def _one_mask_per_image(self) -> Self:
        if self.test_labels and self.split.by == "all":
            raise ValueError(
                "test_labels: with split.by: all the images of test are those of train, and have one mask "
                "each; leave it out, or give labels"
            )
        return self


class AugmentConfig(Section):
    """Random changes of the training images; drawn per sample, the same in all conditions of a seed."""

    kind: Literal["sections", "aerial"] = "sections"
    """`sections`: any angle, scale .8-1.2, shear, crops, blur. `aerial`: flips and quarter turns, which keep
    buildings square to the image, 10 degrees and scale .9-1.1 beside; brightness and contrast 10 %."""

    spatial: float = Field(default=0.75, ge=0, le=1)
    """Chance that a sample, mask alike, is turned, scaled, sheared, flipped and cropped; 0: off. With
    `aerial` that of angle and scale, flips and turns come always; 0: off, they too."""

    raw: float = Field(default=0.5, ge=0, le=1)
    """Chance that an image (not its mask) is changed in brightness and contrast, and blurred; 0: off."""


class FalsifyConfig(Section):
    """How true masks become look-alikes of predictions, always: what a teacher is pretrained on."""

    operations: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=10)]] = (1, 3)
    """How many different changes a mask gets, fewest and most, of the ten there are."""

    severity: PositiveSpan = (0.05, 1.0)
    """Factor of all ranges of a mask's changes, even in its logarithm: students err little or much."""

    soft_p: Share = 0.5
    """Chance that a mask is blurred without a threshold, so that it holds doubt as predictions do."""

    soft_sigma_px: PositiveSpan = (0.5, 2.0)
    """Width of that blur in pixels, whatever the severity."""

    grow_px: PositiveSpan = (1.0, 3.0)
    """Pixels per 224 by which objects grow or shrink; at least one whole pixel."""

    shift: float = Field(default=0.1, gt=0, le=1)
    """Farthest move of an object, as a share of the side."""

    radius: PositiveSpan = (0.02, 0.08)
    """Half axes of an added object, as a share of the side; at least one pixel."""

    @model_validator(mode="after")
    def _fewest_before_most(self) -> Self:
        if self.operations[0] > self.operations[1]:
            raise ValueError(f"operations is [fewest, most], got {list(self.operations)}; swap the two")
        return self


class PoolConfig(Section):
    """The unlabelled images, where a condition has any."""

    root: str
    """Folder that holds `CEM1500k_unlabelled`, `cem1.5M`, or the sources themselves."""

    layout: str = "cem_1500k"
    """Name of the reader (`pkgs/data/catalog.py`)."""

    max_images: int = Field(default=0, ge=0)
    """At most so many, spread evenly and the same for all seeds, before those of val and test are dropped;
    0: all. 1.5 million images of 224 px take 75 GB in the cache with `data.depth_bits: 8`."""

    cache: CacheConfig = CacheConfig()
    loader: LoaderConfig = LoaderConfig()
