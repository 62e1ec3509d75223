"""Teachers that were trained elsewhere: asked, never changed."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import torch

from pkgs.foundation.colours import Colours
from pkgs.foundation.provenance import digest_file
from pkgs.models.error_teacher import ErrorTeacher, build_error_teacher
from pkgs.models.weight_file import read_weights
from pkgs.training.checkpoint_folder import newest_whole
from pkgs.training.checkpoints import load_weights

FILE: Final = "teacher.safetensors"
"""Name of a teacher's weights in a checkpoint."""


def load_error_teacher(
    path: Path, *, name: str, size_px: int, image_channels: int = 1, weights: Literal["last", "best"] = "last"
) -> tuple[ErrorTeacher, str]:
    """Return a teacher in eval mode without trainable weights, and the digest of its file.

    Args:
        path: A run folder, a folder with `teacher.safetensors` in it, or such a file.
        name: Such as `vit_error_map`, as it was trained.
        size_px: Side of the images, as it was trained.
        image_channels: Of the images, likewise; whether it normalises them, its weights say.
        weights: Which checkpoint of a run folder.

    Raises:
        ValueError: If there is no teacher, or one of another network or size.
    """
    file = teacher_file(path, weights=weights)
    teacher = load_teacher_weights(  # all drawn weights are replaced
        file, name=name, size_px=size_px, image_channels=image_channels, seed=0
    )
    return freeze(teacher), digest_file(file)


def load_teacher_weights(
    file: Path, *, name: str, size_px: int, seed: int, image_channels: int = 1
) -> ErrorTeacher:
    """Return a teacher with the weights of `file`, to be trained further.

    Raises:
        ValueError: If it is of another network or size.
    """
    weights = read_weights(file)
    mean, std = (
        tuple(weights.get(f"network.{key}", torch.zeros(0)).tolist())[:-1] for key in ("mean", "std")
    )
    teacher = build_error_teacher(
        name,
        seed=seed,
        size_px=size_px,
        image_channels=image_channels,
        colours=Colours(mean, std) if mean else None,
    )
    where = f"{file} (as {name} at {size_px} px)"
    load_weights(teacher, weights, where=where)
    return teacher


def freeze(teacher: ErrorTeacher) -> ErrorTeacher:
    """Return the teacher in eval mode, without trainable weights; gradients still flow through its input."""
    return teacher.eval().requires_grad_(requires_grad=False)


def teacher_file(path: Path, *, weights: Literal["last", "best"] = "last") -> Path:
    """Return the file of a teacher's weights; arguments as in `load_error_teacher`.

    Raises:
        ValueError: If there is none.
    """
    if path.is_file():
        return path
    if (path / FILE).is_file():
        return path / FILE
    folder, notes = newest_whole(path / "checkpoints", weights)
    if folder is not None and (folder / FILE).is_file():
        return folder / FILE
    found = f"no whole checkpoint {weights!r}" if folder is None else f"{folder.name} has no {FILE}"
    raise ValueError(
        f"{path}: holds no error teacher: {'; '.join([*notes, found])}. Expected the folder of a finished "
        f"run that trains one (pkgs.teacher, joint, split), with checkpoints/{weights}/{FILE}. Name it by "
        "the path of its run, and let the queue run that row before (Jobs.csv, column after)."
    )
