"""The random changes of the first study's batches: a preset of `transforms`, drawn per sample.

Draws depend on the seed and the number of the draw, so neither batch size nor resume shifts them.
"""

from __future__ import annotations

from typing import Final

from pkgs.data.config import AugmentConfig
from pkgs.data.items import Kind
from pkgs.data.samples import Batch
from pkgs.data.transforms.augmentation import Augmentation, AugmentationDraws
from pkgs.data.transforms.config import AugmentationConfig, IntensityConfig, SpatialConfig
from pkgs.foundation.seeds import Purpose

KINDS: Final[dict[str, Kind]] = {"image": "image", "label": "label"}
SQUARE: Final = (1, 1)  # patches are square, and places in [-1, 1] are the same in every square


def preset(config: AugmentConfig) -> AugmentationConfig:
    """Return the sets of the first study with the chances that the config names."""
    return AugmentationConfig(
        spatial=SpatialConfig(
            p=config.spatial,
            flips=0.5,
            rotation_deg=(-180, 180),
            scale=(0.8, 1.2),
            shear_deg=(-5, 5),
            crop_p=0.13,
            crop_area=(0.8, 1.2),
            crop_aspect=(3 / 4, 4 / 3),
        ),
        intensity=IntensityConfig(
            p=config.raw,
            blur_p=1,
            blur_sigma_px=(0.3, 1.0),
            blur_kernel_px=3,
            brightness=(0.87, 1.13),
            contrast=(0.87, 1.13),
        ),
    )


def draw(config: AugmentConfig, seed: int, *, first: int, batch: int) -> AugmentationDraws:
    """Draw the changes for the draws `first` .. `first + batch - 1` of a run."""
    changes = Augmentation(preset(config), KINDS)
    return changes.draw(seed, Purpose.AUGMENT, first=first, batch=batch, sides=SQUARE)


def augment(batch: Batch, draws: AugmentationDraws) -> Batch:
    """Return the changed batch: spatial set on image and mask alike, then the raw set on the image.

    Images are interpolated linearly and reflected at the border; labels take the nearest pixel, and IGNORE
    outside of the source. Samples that drew no change are passed on to the bit.
    """
    changes = Augmentation(preset(AugmentConfig()), KINDS)  # chances have been spent: the draws say all
    changed = changes({"image": batch.image_B1HW, "label": batch.label_BHW}, draws)
    return Batch(changed["image"], changed["label"], batch.ids)
