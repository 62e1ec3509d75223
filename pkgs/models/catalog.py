"""The networks by name, and how they come to their initial weights. Building one downloads nothing."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from pkgs.foundation.colours import Colours
from pkgs.foundation.registry import choose
from pkgs.foundation.seeds import Purpose, derive
from pkgs.models.config import ModelConfig
from pkgs.models.dil2d import Dil2D
from pkgs.models.light_unet import LightUNet
from pkgs.models.normalised import Normalised
from pkgs.models.nrn_rsseg import NrnRsseg
from pkgs.models.plain_unet3d import PlainUNet3d
from pkgs.models.resnet import ResNetClassifier
from pkgs.models.resnet_unet import ResNetUNet
from pkgs.models.simclr import SimClr
from pkgs.models.small_orig import SmallOrig
from pkgs.models.small_unet3d import SmallUNet3d
from pkgs.models.swin_unetr import SwinUNetR
from pkgs.models.unet_error import UNetError
from pkgs.models.valid_unet3d import ValidUNet3d
from pkgs.models.vit_error import ViTError
from pkgs.models.volume_resnet import VolumeResNet


@dataclass(frozen=True, slots=True)
class Entry:
    """A network that can be chosen."""

    build: Callable[..., nn.Module]
    """Takes options by name."""
    output: str
    """Name of the last layer, whose bias is the output's and whose width the number of classes."""
    small: Mapping[str, Any] = field(default_factory=dict)
    """Options that make it small enough to learn a batch on two CPU cores."""
    side: int = 32
    """Side of an image, in pixels or voxels, that the small form takes."""
    encoder: str = ""
    """Where its ResNet is, if it has one: the part that can be loaded alone and frozen."""


def _resnet(depth: int) -> Entry:
    return Entry(partial(ResNetClassifier, depth=depth), "head", {"width": 8}, 64, "encoder")


def _resnet_unet(depth: int) -> Entry:
    return Entry(partial(ResNetUNet, depth=depth), "unet.head", {"width": 16}, 64, "unet.backbone")


def _simclr(depth: int) -> Entry:
    return Entry(partial(SimClr, depth=depth), "projector.2", {"width": 8}, 64, "encoder")


LIGHT_VIT: Final = {
    "size_px": 64,
    "patch_px": 8,
    "hidden": 96,
    "mlp": 192,
    "layers": 4,
    "heads": 4,
    "folded": 4,
}
SMALL_3D: Final = {"base": 8}

NETWORKS: Final[Mapping[str, Entry]] = {
    "unet2d": Entry(partial(LightUNet, dims=2), "head"),
    "unet3d": Entry(partial(LightUNet, dims=3), "head", {"base": 4}, 16),
    "swin_unetr": Entry(SwinUNetR, "out.conv.conv", {"feature_size": 12}, 64),
    "vit_error": Entry(ViTError, "vit.classification_head", LIGHT_VIT, 64),
    "vit_error_map": Entry(partial(ViTError, error_map=True), "map_head.join.2", LIGHT_VIT, 64),
    "unet_error_map": Entry(UNetError, "unet.head", {"base": 8}),
    "nrn_rsseg": Entry(NrnRsseg, "head", {"base": 8}),
    "dil2D": Entry(Dil2D, "head.8", {"rf": 35}, 45),
    "Unet2DSmallOrig": Entry(partial(SmallOrig, dims=2), "head", SMALL_3D),
    "Unet3DSmallOrig": Entry(SmallOrig, "head", SMALL_3D, 16),
    "Unet3DSmallOrigDS": Entry(partial(SmallOrig, deep_supervision=True), "head", SMALL_3D, 16),
    "Unet3D": Entry(PlainUNet3d, "head.8", {"width": 16}, 16),
    "Unet3DStrided": Entry(partial(PlainUNet3d, strided=True), "head.8", {"width": 16}, 16),
    "Unet3DSmall": Entry(SmallUNet3d, "head", SMALL_3D, 16),
    "Unet3DSmallELU": Entry(partial(SmallUNet3d, elu=True), "head", SMALL_3D, 16),
    "Unet3DSmallDS": Entry(partial(SmallUNet3d, deep_supervision=True), "head", SMALL_3D, 16),
    "Unet3DSmallA": Entry(ValidUNet3d, "head", {"base": 4}, 92),
    "Resnet2DNEW": Entry(partial(VolumeResNet, dims=2), "head.4", SMALL_3D),
    "Resnet3DNEW": Entry(VolumeResNet, "head.4", SMALL_3D, 16),
    "Resnet3D": Entry(partial(VolumeResNet, tail_relu=False), "head.4", SMALL_3D, 16),
    "Resnet3DUnc": Entry(partial(VolumeResNet, uncertainty=True), "head.4", SMALL_3D, 16),
    "resnet18": _resnet(18),
    "resnet34": _resnet(34),
    "resnet50": _resnet(50),
    "resnet101": _resnet(101),
    "resnet152": _resnet(152),
    "unet_resnet18_backbone": _resnet_unet(18),
    "unet_resnet34_backbone": _resnet_unet(34),
    "unet_resnet50_backbone": _resnet_unet(50),
    "unet_resnet101_backbone": _resnet_unet(101),
    "unet_resnet152_backbone": _resnet_unet(152),
    "simclr_resnet18": _simclr(18),
    "simclr_resnet34": _simclr(34),
    "simclr_resnet50": _simclr(50),
    "simclr_resnet101": _simclr(101),
    "simclr_resnet152": _simclr(152),
}


def build(name: str, *, seed: int, purpose_name: str, **options: Any) -> nn.Module:  # noqa: ANN401
    """Return a network whose weights depend on its arguments alone, not on what was drawn or built before.

    Args:
        name: One of `NETWORKS`.
        seed: The run's; the purpose `init` is derived from it.
        purpose_name: What the network is in the run, such as `student` or `teacher`: two with the same seed
            and name start equal.
        options: The network's own, by name; `NETWORKS[name].small` holds some for two CPU cores.

    Raises:
        ValueError: If there is no such network or option, or the network refuses a value.
    """
    entry = choose("network", NETWORKS, name)
    known = options_of(name)
    for option in options:
        choose(f"option of {name},", dict.fromkeys(known), option)
    missing = [option for option, needed in known.items() if needed and option not in options]
    if missing:
        raise ValueError(f"{name} needs {', '.join(f'{option}=...' for option in missing)}.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, Purpose.INIT, purpose_name))
        return entry.build(**options)


def options_of(name: str) -> dict[str, bool]:
    """Return the options of a network, and whether each must be given.

    Raises:
        ValueError: If there is no such network.
    """
    function = choose("network", NETWORKS, name).build
    fixed = function.keywords if isinstance(function, partial) else {}
    parameters = inspect.signature(function).parameters.values()
    return {
        parameter.name: parameter.default is parameter.empty
        for parameter in parameters
        if parameter.name not in fixed
    }


def build_student(
    name: str,
    *,
    seed: int,
    foreground_share: float | None = None,
    options: Mapping[str, Any] | None = None,
    colours: Colours | None = None,
) -> nn.Module:
    """Return a student, which starts equal in all conditions of a seed.

    Args:
        name: One of `NETWORKS`.
        seed: The run's.
        foreground_share: Where the output's bias starts, as a probability; None leaves it as it was drawn.
        options: The network's own, by name.
        colours: By which its first layer normalises; None: it takes images as they are.

    Raises:
        ValueError: If there is no such network or option, or a share is not within (0, 1).
    """
    network = build(name, seed=seed, purpose_name="student", **(options or {}))
    if foreground_share is not None:
        set_output_prior(network.get_submodule(NETWORKS[name].output), share=foreground_share)
    return network if colours is None else Normalised(network, colours.mean, colours.std)


def student_of(
    config: ModelConfig,
    *,
    seed: int,
    image_channels: int,
    foreground_share: float | None = None,
    colours: Colours | None = None,
) -> nn.Module:
    """Return the student that the settings describe, for images of so many channels.

    Args:
        config: Network, its options, normalisation.
        seed: The run's.
        image_channels: 1 for grey images, 3 for colour ones.
        foreground_share: As in `build_student`.
        colours: Those of the training part, where the settings ask for them and no weights are loaded.

    Raises:
        ValueError: If the settings do not fit the images, or as `build_student`.
    """
    fault = config.fault_for(image_channels)
    if fault:
        raise ValueError(fault)
    return build_student(
        config.name,
        seed=seed,
        foreground_share=foreground_share,
        options={**config.options, "in_channels": image_channels},
        colours=colours or config.normalisation,
    )


def set_output_prior(layer: nn.Module, *, share: float) -> None:
    """Set the layer's bias to the logit of `share`.

    Raises:
        ValueError: If `share` is not within (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"The training masks' foreground share is {share:g}; expected one within (0, 1).")
    assert isinstance(layer.bias, nn.Parameter)
    with torch.no_grad():
        layer.bias.fill_(math.log(share / (1 - share)))


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained numbers."""
    return sum(parameter.numel() for parameter in network.parameters())
