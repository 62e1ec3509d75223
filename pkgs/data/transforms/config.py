"""Settings of the random transforms. By default nothing changes: a study names what it wants."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pkgs.data.items import IGNORE
from pkgs.foundation.config import Section

Range = tuple[float, float]


def ordered(limits: Range) -> Range:
    """Refuse a range whose low end is above its high end."""
    if limits[0] > limits[1]:
        raise ValueError(f"a range is [low, high], got {list(limits)}; swap the two")
    return limits


Span = Annotated[Range, AfterValidator(ordered)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Level = Annotated[float, Field(ge=0, allow_inf_nan=False)]
HalfTurn = Annotated[float, Field(ge=-0.5, le=0.5, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveSpan = Annotated[tuple[Positive, Positive], AfterValidator(ordered)]


class SpatialConfig(Section):
    """How images, and all that lies on them, are moved. Nothing moves by default; ranges are drawn evenly."""

    p: Share = 1.0
    """Chance that a sample is moved at all; the rest passes exactly as it is."""

    flips: tuple[Share, ...] | Share = 0.0
    """Chance of a flip, per axis (x, y, z) or one for all axes."""

    quarter_turns: bool = False
    """Turn by 0, 90, 180 or 270 degrees, equally likely, in one plane; exact; needs equal sides."""

    affine_p: Share = 1.0
    """Chance that rotation, scale, shear and shift are applied."""

    rotation_deg: Span = (0.0, 0.0)
    """Angle in the image plane; in 3-D in one of the three planes, drawn per sample."""

    rotation_sd_deg: float = Field(default=0.0, ge=0)
    """Standard deviation of a normally distributed angle; takes the place of `rotation_deg`."""

    scale: PositiveSpan = (1.0, 1.0)
    """Enlargement; 1.2 shows a part, 0.8 shows what lies outside."""

    shear_deg: Span = (0.0, 0.0)
    """Lean of x along y (in 3-D, of the plane of the rotation)."""

    shift: Span = (0.0, 0.0)
    """Along each axis, as a share of its side."""

    crop_p: Share = 0.0
    """Chance that a box is cut out and enlarged to the whole."""

    crop_area: PositiveSpan = (0.08, 1.0)
    """Share of the area (volume) in the box; a box that does not fit is the whole image."""

    crop_aspect: PositiveSpan = (3 / 4, 4 / 3)
    """Width to height of the box, drawn evenly in its logarithm."""

    perspective_p: Share = 0.0
    """Chance of a view from aside; 2-D only."""

    perspective: Share = 0.5
    """How far corners move at most, as a share of the half side; each corner for itself."""

    elastic_p: Share = 0.0
    """Chance of an elastic displacement."""

    elastic_px: float = Field(default=4.0, ge=0)
    """Standard deviation of the displacement at the points of the coarse grid, in pixels of the source."""

    elastic_points: int = Field(default=5, ge=2, le=64)
    """Points of the coarse grid along each axis, linear in between: more points, finer waves."""

    size: tuple[int, ...] = ()
    """Sides of the result (height, width); empty: those of the source."""

    outside: float | None = None
    """Value of images outside of the source; null: reflected at the border."""

    outside_label: int = IGNORE
    """Value of labels outside of the source; by default no loss and no metric sees them."""

    @model_validator(mode="after")
    def _one_law_of_rotation(self) -> Self:
        if self.rotation_sd_deg and self.rotation_deg != (0.0, 0.0):
            raise ValueError("rotation_deg and rotation_sd_deg are two laws for one angle; give one of them")
        return self


class IntensityConfig(Section):
    """How values of images are changed, labels untouched. Nothing changes by default.

    Order: blur, brightness, contrast, saturation, hue, gamma, grey, sharpness, noise, clip, erasing.
    """

    p: Share = 1.0
    """Chance that an image is changed at all; the rest passes exactly as it is."""

    blur_p: Share = 0.0
    """Chance of a Gaussian blur."""

    blur_sigma_px: PositiveSpan = (0.1, 2.0)
    """Width of the blur, in pixels."""

    blur_kernel_px: int = Field(default=3, ge=3, le=63)
    """Side of the window, odd. A sigma below a fifth of a pixel in it changes nothing."""

    colour_p: Share = 1.0
    """Chance of brightness, contrast, saturation, hue and gamma together."""

    brightness: PositiveSpan = (1.0, 1.0)
    """Factor of all values."""

    contrast: PositiveSpan = (1.0, 1.0)
    """Factor of the distance from the image's mean brightness."""

    saturation: PositiveSpan = (1.0, 1.0)
    """Factor of the distance from grey; three channels only."""

    hue_turns: Annotated[tuple[HalfTurn, HalfTurn], AfterValidator(ordered)] = (0.0, 0.0)
    """Turn of the colour circle; 0.5 is the opposite colour; three channels only."""

    gamma: PositiveSpan = (1.0, 1.0)
    """Exponent of the values, which must not be negative."""

    grey_p: Share = 0.0
    """Chance that all channels become their brightness."""

    sharpness_p: Share = 0.0
    """Chance of a change in sharpness."""

    sharpness: Span = (2.0, 2.0)
    """0 smooths, 1 changes nothing, 2 doubles the distance from the smoothed image."""

    noise_p: Share = 0.0
    """Chance of noise, new for every pixel."""

    noise_sd: Annotated[tuple[Level, Level], AfterValidator(ordered)] = (0.0, 0.0)
    """Standard deviation, in units of the image."""

    noise: Literal["gaussian", "rician"] = "gaussian"
    """`rician`: the length of a complex number whose parts are both noisy, as in magnetic resonance."""

    clip: tuple[float, float] | None = (0.0, 1.0)
    """Bounds of the values of changed images; null: none."""

    erase_p: Share = 0.0
    """Chance that a box is overwritten."""

    erase_area: PositiveSpan = (0.02, 0.33)
    """Share of the area (volume) in the box."""

    erase_aspect: PositiveSpan = (0.3, 3.3)
    """Width to height of the box, drawn evenly in its logarithm."""

    erase_value: float = 0.0
    """What the box is filled with."""

    @model_validator(mode="after")
    def _kernel_has_a_centre(self) -> Self:
        if self.blur_kernel_px % 2 == 0:
            raise ValueError(f"blur_kernel_px must be odd, got {self.blur_kernel_px}")
        return self


class AugmentationConfig(Section):
    """Random changes of training samples, drawn per sample."""

    spatial: SpatialConfig = SpatialConfig()
    """Of images and all that lies on them."""

    intensity: IntensityConfig = IntensityConfig()
    """Of images alone."""


class CorruptionConfig(Section):
    """How a mask alone is falsified, so that a teacher sees wrong targets; the published set by default."""

    p: Share = 0.13
    """Chance that a mask is falsified at all."""

    spatial: SpatialConfig = SpatialConfig(
        rotation_deg=(-10, 10),
        scale=(0.9, 1.1),
        shear_deg=(-3, 3),
        flips=0.03,
        crop_p=1.0,
        crop_area=(0.9, 1.1),
        perspective_p=0.13,
        perspective=0.13,
        outside_label=0,
    )
    """Moves of the mask; the image stays."""

    erase_p: Share = 0.13
    """Chance that a box is emptied."""

    erase_area: PositiveSpan = (0.02, 0.33)
    """Share of the area in the box."""

    erase_aspect: PositiveSpan = (0.3, 3.3)
    """Width to height of the box."""

    blur_sigma_px: PositiveSpan = (0.1, 2.0)
    """Width of the blur before the threshold."""

    blur_kernel_px: int = Field(default=11, ge=3, le=63)
    """Side of the blur's window, odd."""

    soft_p: Share = 0.0
    """Chance that a falsified mask stays soft: blurred, without a threshold."""
