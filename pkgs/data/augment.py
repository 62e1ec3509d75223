"""The random changes of the first study's batches: a preset of `transforms`, drawn per sample.

Draws depend on the seed and the number of the draw, so neither batch size nor resume shifts them. Two
defects of the reference can be had by name: `reference` (what it did to images) and `cycle` (its generator).
"""

from __future__ import annotations

from typing import Final, TypeVar

import torch
from torch import Tensor

from pkgs.data.config import AugmentConfig
from pkgs.data.cycles import AUGMENT_CYCLE, drawn
from pkgs.data.items import IGNORE, Kind
from pkgs.data.prepare.object_numbers import INSTANCES
from pkgs.data.samples import Batch, Images
from pkgs.data.transforms.augmentation import Augmentation, AugmentationDraws
from pkgs.data.transforms.config import AugmentationConfig, IntensityConfig, SpatialConfig
from pkgs.data.transforms.contract import Tensors
from pkgs.data.transforms.intensity import Intensity
from pkgs.data.transforms.spatial import Spatial
from pkgs.foundation.seeds import Purpose

B = TypeVar("B", Batch, Images)

KINDS: Final[dict[str, Kind]] = {"image": "image", "label": "label", INSTANCES: "label"}
SQUARE: Final = (1, 1)  # patches are square, and places in [-1, 1] are the same in every square
SOUND_SIGMA_PX: Final = (0.3, 1.0)
REFERENCE_SIGMA_PX: Final = (0.05, 0.13)
"""Weight of a neighbour at .13: exp(-1 / (2 x .13²)) = 1e-13. The reference blurred nothing."""
WHITE: Final = 65535  # grey values are codes of 8 or 16 bits, so whole numbers hold them exactly


def preset(config: AugmentConfig, *, reference: bool = False) -> AugmentationConfig:
    """Return the sets of a study with the chances that the config names.

    Raises:
        ValueError: If the reference's form of the aerial sets is asked for; there is none.
    """
    if config.kind == "aerial":
        if reference:
            raise ValueError(
                "augment.kind aerial has no form of the reference; switch reference_augment off."
            )
        return _aerial(config)
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
            outside=0.0 if reference else None,
            outside_label=0 if reference else IGNORE,
        ),
        intensity=IntensityConfig(
            p=config.raw,
            blur_p=1,
            blur_sigma_px=REFERENCE_SIGMA_PX if reference else SOUND_SIGMA_PX,
            blur_kernel_px=3,
            brightness=(0.87, 1.13),
            contrast=(0.87, 1.13),
        ),
    )


def _aerial(config: AugmentConfig) -> AugmentationConfig:
    on = float(config.spatial > 0)
    return AugmentationConfig(
        spatial=SpatialConfig(
            p=on,
            flips=0.5,
            quarter_turns=True,
            affine_p=config.spatial,
            rotation_deg=(-10, 10),
            scale=(0.9, 1.1),
        ),
        intensity=IntensityConfig(p=config.raw, brightness=(0.9, 1.1), contrast=(0.9, 1.1)),
    )


def draw(  # noqa: PLR0913 - all by name
    config: AugmentConfig,
    seed: int,
    *,
    first: int,
    batch: int,
    purpose: Purpose = Purpose.AUGMENT,
    reference: bool = False,
    cycle: bool = False,
) -> AugmentationDraws:
    """Draw the changes for the draws `first` .. `first + batch - 1` of a run.

    Args:
        config: The chances.
        seed: The run's.
        first: Number of the first draw.
        batch: How many.
        purpose: POOL for unlabelled images: whether they are drawn must not shift the labelled ones.
        reference: Blur with a sigma of .05 to .13 pixels, as the reference did: it changes nothing.
        cycle: Repeat after 108 draws, as a generator does that is seeded anew from 10,000 values.
    """
    changes = Augmentation(preset(config, reference=reference), {"image": "image"})
    return drawn(
        lambda first, batch: changes.draw(seed, purpose, first=first, batch=batch, sides=SQUARE),
        AugmentationDraws,
        first=first,
        batch=batch,
        cycle=AUGMENT_CYCLE if cycle else 0,
    )


def augment(batch: B, draws: AugmentationDraws, *, reference: bool = False) -> B:
    """Return the changed batch: spatial set on image and mask alike, then the raw set on the image.

    Images are interpolated linearly and reflected at the border; labels take the nearest pixel, and IGNORE
    outside of the source; numbered objects the nearest, and 0 outside. Samples that drew no change are
    passed on to the bit.

    Args:
        batch: On its device, images in [0, 1].
        draws: Of `draw`.
        reference: Images take the nearest pixel, and all is 0 outside, as in the reference.
    """
    tensors = batch.tensors()
    config = preset(AugmentConfig(), reference=reference)  # chances have been spent: the draws say all
    if reference:
        moved = _nearest(config, tensors, draws)
    else:
        moved = Spatial(config.spatial, {name: KINDS[name] for name in tensors})(tensors, draws.spatial)
        if INSTANCES in moved:  # moved in the same pass, so they bear the label's value outside
            moved[INSTANCES] = moved[INSTANCES].masked_fill(moved["label"] == IGNORE, 0)
    return batch.holding(Intensity(config.intensity, {"image": "image"})(moved, draws.intensity))


def _nearest(config: AugmentationConfig, tensors: Tensors, draws: AugmentationDraws) -> dict[str, Tensor]:
    """Move everything by its nearest pixel: images as whole numbers, and back."""
    codes = torch.round(tensors["image"][:, 0] * WHITE).to(torch.int32)
    spatial = Spatial(config.spatial, dict.fromkeys(tensors, "label"))
    moved = spatial({**tensors, "image": codes}, draws.spatial)
    return {**moved, "image": moved["image"].unsqueeze(1).float() / WHITE}
