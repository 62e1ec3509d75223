"""From an image to the tensor that a network was trained on. Chosen by the settings of the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pkgs.data.formats.grey_image import read_grey
from pkgs.data.formats.rgb_image import read_rgb
from pkgs.data.items import DataError
from pkgs.data.prepare.resize import Resize

Image = ArrayLike | Tensor | Path | str
SCALES: Final = {"uint8": np.float32(255), "uint16": np.float32(65535)}


class Preprocess(Protocol):
    """How images were prepared."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Channels and sides of the result; None if not known."""

    def __call__(self, image: Image) -> Tensor:
        """Return [1, C, H, W] float32."""


@dataclass(frozen=True, slots=True)
class GreyUnit:
    """Grey values within [0, 1], resized to a square: knowledge expansion."""

    size_px: int

    @property
    def shape(self) -> tuple[int, ...] | None:
        return (1, self.size_px, self.size_px)

    def __call__(self, image: Image) -> Tensor:
        grey = read_grey(Path(image)) if isinstance(image, str | Path) else self._scaled(image)
        return _resized(torch.from_numpy(grey)[None, None], self.size_px)

    def _scaled(self, image: ArrayLike | Tensor) -> NDArray[np.float32]:
        array = np.asarray(image)
        if array.ndim != 2:
            raise DataError(
                f"A grey image [H, W] is needed, got the shape {array.shape}. Convert it to grey."
            )
        if array.dtype.name in SCALES:
            scaled: NDArray[np.float32] = array.astype(np.float32) / SCALES[array.dtype.name]
            return scaled
        if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):
            raise DataError(
                f"Grey values must be uint8, uint16, or fractions within [0, 1], got {array.dtype} from "
                f"{array.min()} to {array.max()}."
            )
        return array.astype(np.float32)


@dataclass(frozen=True, slots=True)
class ColourUnit:
    """R, G, B within [0, 1], resized to a square: label noise. The network normalises by itself."""

    size_px: int

    @property
    def shape(self) -> tuple[int, ...] | None:
        return (3, self.size_px, self.size_px)

    def __call__(self, image: Image) -> Tensor:
        codes = read_rgb(Path(image)) if isinstance(image, str | Path) else self._channels_first(image)
        resized = Resize((self.size_px, self.size_px))({"image": codes})["image"]
        return torch.from_numpy(resized)[None].float() / 255

    def _channels_first(self, image: ArrayLike | Tensor) -> NDArray[np.uint8]:
        array = np.asarray(image)
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
            raise DataError(
                f"A colour image [H, W, 3] of uint8 is needed, got {array.dtype} {array.shape}. "
                "Convert it to RGB."
            )
        return np.ascontiguousarray(np.moveaxis(array, 2, 0))


@dataclass(frozen=True, slots=True)
class MinMax:
    """Each image stretched to [0, 1], resized to a square, grey repeated: the input of older weights."""

    size_px: int = 256
    channels: int = 3

    @property
    def shape(self) -> tuple[int, ...] | None:
        return (self.channels, self.size_px, self.size_px)

    def __call__(self, image: Image) -> Tensor:
        array = np.asarray(_opened(image) if isinstance(image, str | Path) else image).astype(np.float32)
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim != 3 or array.shape[2] not in {1, self.channels}:
            raise DataError(
                f"An image [H, W] or [H, W, {self.channels}] is needed, got the shape {array.shape}."
            )
        if not np.isfinite(array).all():
            raise DataError("The image holds NaN or infinity.")
        plane = _resized(torch.from_numpy(array).movedim(2, 0)[None], self.size_px)
        least, most = plane.aminmax()
        stretched = (plane - least) / (most - least) if most > least else torch.zeros_like(plane)
        return stretched.expand(-1, self.channels, -1, -1).contiguous()


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody has written down how the images were prepared."""

    reason: str

    @property
    def shape(self) -> tuple[int, ...] | None:
        return None

    def __call__(self, image: Image) -> Tensor:  # noqa: ARG002 - the shape of the others
        raise ValueError(f"How images were prepared is not known: {self.reason}")


def _opened(path: str | Path) -> NDArray[np.generic]:
    if Path(path).suffix == ".npy":
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
        return array
    from PIL import Image as PilImage  # noqa: PLC0415 - only who reads pictures

    try:
        with PilImage.open(path) as picture:
            return np.asarray(picture)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as an image ({error}).") from None


def _resized(image_BCHW: Tensor, size_px: int) -> Tensor:
    if image_BCHW.shape[2:] == (size_px, size_px):
        return image_BCHW
    return F.interpolate(image_BCHW, size=(size_px, size_px), mode="bilinear", antialias=True)
