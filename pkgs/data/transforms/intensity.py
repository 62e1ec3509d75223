"""Changes of an image's values, drawn per sample; labels, soft maps and weights pass untouched."""

# ruff: noqa: N815 - arrays end in their axes, fields too
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkgs.data.transforms import colour, noise
from pkgs.data.transforms.config import IntensityConfig
from pkgs.data.transforms.contract import Kinds, Sides, Tensors, sides_of
from pkgs.data.transforms.erasing import draw_boxes, erase
from pkgs.data.transforms.smoothing import gaussian_blur, sharpness
from pkgs.data.transforms.stream import Flags, Numbers, Stream
from pkgs.foundation.seeds import Purpose

COLOURS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "brightness_B": colour.brightness,
    "contrast_B": colour.contrast,
    "saturation_B": colour.saturation,
    "hue_turns_B": colour.hue,
    "gamma_B": colour.gamma,
}
"""In the order in which they are applied."""


@dataclass(frozen=True, slots=True)
class IntensityDraws:
    """What happens to each image of a batch. A number that changes nothing stands where nothing was drawn."""

    sigma_px_B: Numbers
    brightness_B: Numbers
    contrast_B: Numbers
    saturation_B: Numbers
    hue_turns_B: Numbers
    gamma_B: Numbers
    grey_B: Flags
    sharpness_B: Numbers
    noise_sd_B: Numbers
    noise_seed_B: NDArray[np.int64]
    boxes_BD2: NDArray[np.int64]

    @property
    def changed_B(self) -> Flags:  # noqa: N802 - its axis
        """Which images change at all."""
        neutral = {"brightness_B": 1, "contrast_B": 1, "saturation_B": 1, "gamma_B": 1, "sharpness_B": 1}
        neutral |= {"sigma_px_B": 0, "hue_turns_B": 0, "grey_B": 0, "noise_sd_B": 0}
        changed = [getattr(self, name) != still for name, still in neutral.items()]
        return np.asarray(np.any([*changed, self.boxes_BD2.any(axis=(1, 2))], axis=0))


@final
class Intensity:
    """Blur, colour, grey, sharpness, noise and erasing of the images of a batch, in this order."""

    def __init__(self, config: IntensityConfig, kinds: Kinds, *, name: str = "") -> None:
        """Take `name` to tell apart two intensity transforms of one purpose."""
        self.config, self.kinds, self.name = config, dict(kinds), name

    def draw(self, seed: int, purpose: Purpose, *, first: int, batch: int, sides: Sides) -> IntensityDraws:
        """Return the changes of the draws `first` .. `first + batch - 1` for images of these sides."""
        config, stream = self.config, Stream(seed, purpose, first, batch, self.name)
        chosen = stream.chance("raw", config.p)
        coloured = chosen & stream.chance("colour", config.colour_p)
        blurred = chosen & stream.chance("blur", config.blur_p)
        sharpened = chosen & stream.chance("sharpness", config.sharpness_p)
        noisy = chosen & stream.chance("noise", config.noise_p)
        boxes = draw_boxes(
            stream, p=config.erase_p, area=config.erase_area, aspect=config.erase_aspect, sides=sides
        )
        return IntensityDraws(
            sigma_px_B=np.where(blurred, stream.between("sigma", config.blur_sigma_px), 0.0),
            brightness_B=np.where(coloured, stream.between("brightness", config.brightness), 1.0),
            contrast_B=np.where(coloured, stream.between("contrast", config.contrast), 1.0),
            saturation_B=np.where(coloured, stream.between("saturation", config.saturation), 1.0),
            hue_turns_B=np.where(coloured, stream.between("hue", config.hue_turns), 0.0),
            gamma_B=np.where(coloured, stream.between("gamma", config.gamma), 1.0),
            grey_B=chosen & stream.chance("grey", config.grey_p),
            sharpness_B=np.where(sharpened, stream.between("sharpness_factor", config.sharpness), 1.0),
            noise_sd_B=np.where(noisy, stream.between("noise_sd", config.noise_sd), 0.0),
            noise_seed_B=stream.seeds("noise_pixels") if config.noise_p else np.zeros(batch, dtype=np.int64),
            boxes_BD2=np.where(chosen[:, None, None], boxes, 0),
        )

    def __call__(self, batch: Tensors, draws: IntensityDraws) -> dict[str, Tensor]:
        """Return the batch with changed images; each image that drew nothing passes to the bit.

        Raises:
            ValueError: If the batch does not fit its kinds, or a change needs other channels.
        """
        sides_of(batch, self.kinds)
        changed = {
            name: self._changed(batch[name], draws) for name, kind in self.kinds.items() if kind == "image"
        }
        return {**batch, **changed}

    @torch.no_grad()
    def _changed(self, image: Tensor, draws: IntensityDraws) -> Tensor:
        config = self.config
        image = _where(image, draws.sigma_px_B, 0, self._blurred)
        for name, change in COLOURS.items():
            image = _where(image, getattr(draws, name), 0 if name == "hue_turns_B" else 1, change)
        image = _where(image, draws.grey_B, 0, lambda chosen, _: colour.grey(chosen).expand_as(chosen))
        image = _where(image, draws.sharpness_B, 1, sharpness)
        image = self._noisy(image, draws)
        if config.clip is not None:
            low, high = config.clip
            image = _where(image, draws.changed_B, 0, lambda chosen, _: chosen.clamp(low, high))
        return erase(image, draws.boxes_BD2, value=config.erase_value) if draws.boxes_BD2.any() else image

    def _blurred(self, image: Tensor, sigma_px_B: Tensor) -> Tensor:
        return gaussian_blur(image, sigma_px_B, kernel_px=self.config.blur_kernel_px)

    def _noisy(self, image: Tensor, draws: IntensityDraws) -> Tensor:
        add = noise.rician if self.config.noise == "rician" else noise.gaussian
        seed_B = torch.from_numpy(draws.noise_seed_B[draws.noise_sd_B != 0])
        return _where(image, draws.noise_sd_B, 0, lambda chosen, sd_B: add(chosen, sd_B, seed_B=seed_B))


def _where(
    image: Tensor, numbers_B: Numbers | Flags, still: float, change: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return the image with the samples changed whose number is not the one that changes nothing."""
    drawn = np.flatnonzero(numbers_B != still)
    if not len(drawn):
        return image
    numbers = torch.from_numpy(np.asarray(numbers_B[drawn], dtype=np.float32)).to(image.device)
    if len(drawn) == len(image):
        return change(image, numbers)
    which = torch.from_numpy(drawn).to(image.device)
    return image.index_copy(0, which, change(image[which], numbers))
