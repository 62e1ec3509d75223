"""The error teacher: from an image and a mask to the share of the largest error, per pixel and per image."""

# ruff: noqa: N815 - tensors end in their axes, fields too
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, final

import torch
from torch import Tensor, nn

from pkgs.foundation.colours import Colours
from pkgs.foundation.registry import choose
from pkgs.models.catalog import LIGHT_VIT, build, set_output_prior
from pkgs.models.normalised import WHITE, Normalised
from pkgs.models.output import Output

START_SHARE: Final = 0.03
"""Near the mean error share of falsified masks: without it some hundred steps go into finding the mean."""
LIGHT: Final = {name: value for name, value in LIGHT_VIT.items() if name != "size_px"}
TEACHERS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "vit_error_map": ("vit_error_map", {}),
    "vit_error_map_light": ("vit_error_map", LIGHT),
    "unet_error_map": ("unet_error_map", {"base": 16}),
    "unet_error_map_light": ("unet_error_map", {"base": 8}),
}
"""Name of the network and its options."""
OUTPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "vit_error_map": ("map_head.join.2", "vit.classification_head"),
    "unet_error_map": ("unet.head",),
}
"""Layers whose biases are those of the outputs, by network."""


class ErrorPrediction(NamedTuple):
    """What a teacher says of masks, before the sigmoid."""

    logits_B1HW: Tensor
    """a u + b: of the error share per pixel, recalibrated."""
    image_logits_B: Tensor
    """q: of the mean error share per image."""

    @property
    def share_B1HW(self) -> Tensor:  # noqa: N802 - its axes
        """r, the predicted error share per pixel, within (0, 1)."""
        return torch.sigmoid(self.logits_B1HW)


@final
class ErrorTeacher(nn.Module):
    """A network on image and mask, and the two numbers of its recalibration, r = sigmoid(a u + b).

    a, b are buffers: saved with the weights, 1 and 0 until `errormap.recalibration` has fitted them.
    """

    slope: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("offset", torch.zeros(()))

    def forward(self, image_BCHW: Tensor, mask_B1HW: Tensor) -> ErrorPrediction:
        """Predict how wrong the mask is.

        Args:
            image_BCHW: As the network was built for.
            mask_B1HW: Probabilities within [0, 1], hard or soft; its gradient flows.

        Raises:
            ValueError: If shapes do not belong together, or the network has no map.
        """
        if mask_B1HW.shape != (len(image_BCHW), 1, *image_BCHW.shape[2:]):
            raise ValueError(
                f"The mask has shape {tuple(mask_B1HW.shape)} for an image of {tuple(image_BCHW.shape)}; "
                "expected [B, 1, H, W] with the image's B, H and W."
            )
        output: Output = self.network(torch.cat([image_BCHW, mask_B1HW], dim=1))
        if output.image_logits is None:
            raise ValueError("An error teacher needs a network with a map head, such as vit_error_map.")
        return ErrorPrediction(self.slope * output.logits + self.offset, output.image_logits)


def build_error_teacher(  # noqa: PLR0913 - all by name
    name: str,
    *,
    seed: int,
    size_px: int,
    image_channels: int = 1,
    colours: Colours | None = None,
    purpose_name: str = "teacher",
    share: float | None = None,
) -> ErrorTeacher:
    """Return a teacher whose weights depend on its arguments alone.

    Args:
        name: `vit_error_map`, or `vit_error_map_light` for two CPU cores; `unet_error_map` (base 16), or
            `unet_error_map_light` (base 8).
        seed: The run's.
        size_px: Side of the images; nothing to a U-Net, which takes any that 8 divides.
        image_channels: 1 for grey images, 3 for colour.
        colours: By which its first layer normalises images; None: it takes them as they are.
        purpose_name: What it is in the run; two with the same seed and name start equal.
        share: Where both outputs' biases start, as an error share, such as `START_SHARE`; None leaves them
            as they were drawn.

    Raises:
        ValueError: If there is no such teacher.
    """
    kind, options = choose("error teacher", TEACHERS, name)
    sized = {"size_px": size_px} if kind == "vit_error_map" else {}
    network = build(
        kind, seed=seed, purpose_name=purpose_name, image_channels=image_channels, **sized, **options
    )
    if share is not None:
        for layer in OUTPUTS[kind]:
            set_output_prior(network.get_submodule(layer), share=share)
    if colours is not None:  # of the mask 255 m / 255: it stays as it is
        network = Normalised(network, (*colours.mean, 0.0), (*colours.std, WHITE))
    return ErrorTeacher(network)
