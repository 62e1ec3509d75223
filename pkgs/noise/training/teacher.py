"""The frozen network of a finished run, rebuilt from what that run wrote down about it."""

from __future__ import annotations

from typing import Any

import yaml
from torch import nn

from pkgs.foundation.run_folder import RunFolder
from pkgs.models.catalog import student_of
from pkgs.models.config import ModelConfig
from pkgs.models.weight_file import read_weights
from pkgs.training.checkpoints import load_weights
from pkgs.training.starting_point import StartingPoint


def load_teacher(point: StartingPoint, *, image_channels: int) -> nn.Module:
    """Return the network with its weights, and with the colours by which it normalises.

    Args:
        point: Whose weights; the run's config.yaml says which network that is.
        image_channels: Of the images that it will be shown.

    Raises:
        ValueError: If settings or weights are missing, or do not belong together.
    """
    network = student_of(model_of(RunFolder(point.run)), seed=0, image_channels=image_channels)
    load_weights(network, read_weights(point.file), where=str(point.file))
    return network


def model_of(folder: RunFolder) -> ModelConfig:
    """Return the settings of a run's network.

    Raises:
        ValueError: If its config.yaml says nothing of the kind.
    """
    try:
        raw: Any = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
        return ModelConfig.model_validate(raw["model"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder.config}: does not tell which network the run trained ({error}). Expected a run of "
            "pkgs.noise train, or of pkgs.student."
        ) from None
