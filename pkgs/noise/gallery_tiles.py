"""The pictures of a patch in the gallery: the image, and one strip of transparent layers to lay over it.

Two PNG files per patch. The strip has 256 colours and compresses to a few kilobytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pkgs.noise.findings import FOREGROUND, Mask

LAYERS: Final = ("label", "prediction", "wrong", "suggestion")
"""From left to right in the strip."""

Codes = NDArray[np.uint8]
Colour = tuple[int, int, int]

CLEAR: Final = 0
LABEL, KEPT, ADDED, REMOVED = 1, 3, 5, 7
"""Codes of a filled area; the next code is its outline."""
SHADES: Final = 64
PREDICTION, WRONG = 64, 128
"""Codes of the lowest shade, which is clear."""
OVER_HALF: Final = 10
"""Outline of where a shade stands for more than one half."""

GREEN: Final[Colour] = (0, 158, 115)
BLUE: Final[Colour] = (86, 180, 233)
ORANGE: Final[Colour] = (230, 111, 0)
PINK: Final[Colour] = (214, 106, 170)
YELLOW: Final[Colour] = (240, 228, 66)
WHITE: Final[Colour] = (255, 255, 255)
"""Apart for every common colour blindness (Okabe and Ito 2008)."""
FILL, MOST = 110, 225
"""Opacity, 0-255, of a filled area and of the highest shade."""


def write_image(path: Path, image_CHW: Codes) -> None:
    """Write an image of one or three channels as PNG."""
    picture = image_CHW[0] if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(picture)).save(path)


def write_layers(
    path: Path,
    *,
    label_HW: Mask,
    probability_HW: NDArray[np.floating],
    wrong_HW: NDArray[np.floating] | None,
    corrected_HW: Mask,
) -> None:
    """Write the strip of LAYERS, four times as wide as a patch; without `wrong_HW` its layer is clear."""
    label, prediction = np.zeros(label_HW.shape, np.uint8), _shades(probability_HW, PREDICTION)
    _paint(label, label_HW, LABEL)
    nothing = np.zeros(label_HW.shape, np.uint8)
    wrong = nothing if wrong_HW is None else _shades(wrong_HW, WRONG)
    suggestion = nothing.copy()
    for mask, code in (
        (label_HW & corrected_HW, KEPT),
        (label_HW & ~corrected_HW, REMOVED),
        (corrected_HW & ~label_HW, ADDED),
    ):
        _paint(suggestion, mask, code)
    strip = Image.fromarray(np.concatenate([label, prediction, wrong, suggestion], axis=1))
    strip.putpalette(_palette())
    strip.save(path, transparency=_opacities(), compress_level=3)  # 6: three times as long for 10 % less


def _paint(codes_HW: Codes, mask_HW: Mask, code: int) -> None:
    codes_HW[mask_HW] = code
    codes_HW[_rim(mask_HW)] = code + 1


def _shades(values_HW: NDArray[np.floating], lowest: int) -> Codes:
    codes: Codes = lowest + np.rint(np.clip(values_HW, 0, 1) * (SHADES - 1)).astype(np.uint8)
    codes[_rim(values_HW >= FOREGROUND)] = OVER_HALF
    return codes


def _rim(mask_HW: Mask) -> Mask:
    return np.asarray(mask_HW & ~ndimage.binary_erosion(mask_HW, border_value=1))


def _palette() -> bytes:
    colours = [WHITE] * 256
    for code, colour in ((LABEL, GREEN), (KEPT, GREEN), (ADDED, BLUE), (REMOVED, ORANGE)):
        colours[code : code + 2] = [colour, colour]
    colours[PREDICTION : PREDICTION + SHADES] = [PINK] * SHADES
    colours[WRONG : WRONG + SHADES] = [YELLOW] * SHADES
    return bytes(channel for colour in colours for channel in colour)


def _opacities() -> bytes:
    opacities = [255] * 256
    opacities[CLEAR] = 0
    for code in (LABEL, KEPT, ADDED, REMOVED):
        opacities[code] = FILL
    for lowest in (PREDICTION, WRONG):
        opacities[lowest : lowest + SHADES] = [round(MOST * step / (SHADES - 1)) for step in range(SHADES)]
    return bytes(opacities)
