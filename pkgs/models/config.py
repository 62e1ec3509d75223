"""Settings of the network."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from pkgs.foundation.colours import COLOURS, Colours
from pkgs.foundation.config import Section

Triple = tuple[float, float, float]
RGB: Final = "RGB"
UNCHANGED: Final = Colours(mean=(0, 0, 0), std=(255, 255, 255))


class ModelConfig(Section):
    """Which network learns."""

    name: Literal["unet2d", "swin_unetr", "nrn_rsseg"] = "swin_unetr"
    """`swin_unetr` is the published one of knowledge expansion, `nrn_rsseg` that of label noise; `unet2d`
    trains on a CPU in a minute."""

    init_prior: bool = True
    """Start the output's bias at the logit of the training foreground share; no step is spent on it."""

    options: dict[str, bool | int | float | str] = Field(default={})
    """The network's own settings by name, such as `base: 8` (`python -m utility.models list`). `in_channels`
    comes from the images."""

    colours: Literal["", "datacentric", "whu", "alabama", "train"] | tuple[Triple, Triple] = ""
    """Mean and spread of R, G, B on 0-255 by which the network's first layer normalises: those of a known
    set, `train`: counted on the training part, or `[[r, g, b], [r, g, b]]`. Empty: images in [0, 1] as they
    are."""

    @property
    def normalisation(self) -> Colours | None:
        """The constants of `colours`; None where images stay as they are.

        Of `train` those that change nothing: counted ones, or those of weights, take their place.
        """
        if isinstance(self.colours, tuple):
            return Colours(*self.colours)
        if self.colours == "train":
            return UNCHANGED
        return COLOURS[self.colours] if self.colours else None

    @model_validator(mode="after")
    def _colours_differ(self) -> Self:
        constants = self.normalisation
        if constants is not None and min(constants.std) <= 0:
            raise ValueError(f"colours is [mean, spread] on 0-255, each spread above 0, got {self.colours}")
        return self

    def fault_for(self, channels: int) -> str:
        """Return what is wrong with these settings for images of so many channels; empty if nothing is."""
        if self.colours and channels != len(RGB):
            return (
                f"model.colours normalises R, G, B, and the images of data.layout have {channels} channel. "
                "Leave model.colours out, or choose a layout of colour images."
            )
        if self.options.get("in_channels", channels) != channels:
            return (
                f"model.options.in_channels is {self.options['in_channels']}, and the images of data.layout "
                f"have {channels}. Leave it out, or choose another layout."
            )
        return ""


class TeacherModelConfig(Section):
    """Which network predicts errors."""

    name: Literal["vit_error_map", "vit_error_map_light", "unet_error_map", "unet_error_map_light"] = (
        "vit_error_map"
    )
    """`vit_error_map` is the published ViT with a map head; `unet_error_map` a U-Net for local errors, base
    16; the light ones (the U-Net's base is 8) train on a CPU in a minute."""

    colours: Literal["", "datacentric", "whu", "alabama"] | tuple[Triple, Triple] = ""
    """As of the network that learns; the mask stays as it is."""

    @property
    def normalisation(self) -> Colours | None:
        """The constants of `colours`; None where images stay as they are."""
        return ModelConfig(colours=self.colours).normalisation

    @model_validator(mode="after")
    def _colours_are_some(self) -> Self:
        ModelConfig(colours=self.colours)  # knows what they must be
        return self

    def fault_for(self, channels: int) -> str:
        """Return what is wrong with these settings for images of so many channels; empty if nothing is."""
        return ModelConfig(colours=self.colours).fault_for(channels).replace("model.", "teacher.model.")
