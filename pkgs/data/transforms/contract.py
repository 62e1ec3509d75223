"""What every random transform has in common: batches by kind, draws that can be stored, one protocol.

Random transforms are a type of their own: a cache takes a `Preparation` and can take none of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, Protocol, TypeVar, get_type_hints

import numpy as np
import torch
from torch import Tensor

from pkgs.data.items import Kind
from pkgs.foundation.seeds import Purpose

Tensors = Mapping[str, Tensor]
"""A batch: tensors by name on one device, the batch axis first."""

Kinds = Mapping[str, Kind]
"""What each tensor of a batch means: image [B, C, *space] float, label [B, *space] whole numbers,
soft [B, K, *space] float, weight [B, *space] float, vector [B, K]."""

Sides = tuple[int, ...]
"""Pixels along each axis of space: (height, width) or (depth, height, width)."""

CHANNELS: Final[Mapping[Kind, int]] = {"image": 1, "soft": 1, "label": 0, "weight": 0}
"""Axes between batch and space, for the kinds that have a place in space."""

SHAPES: Final[Mapping[Kind, str]] = {
    "image": "[batch, channels, (depth,) height, width]",
    "soft": "[batch, classes, (depth,) height, width]",
    "label": "[batch, (depth,) height, width]",
    "weight": "[batch, (depth,) height, width]",
}

D = TypeVar("D")


class RandomTransform(Protocol[D]):
    """A random change of a batch. `draw` decides, one draw per sample; the call applies and decides nothing.

    Two views of one batch are the same transform drawn with two purposes.
    """

    def draw(self, seed: int, purpose: Purpose, *, first: int, batch: int, sides: Sides) -> D:
        """Return what happens to the draws `first` .. `first + batch - 1` of a run.

        Depends on nothing else: a sample's change is the same in every batch that it may stand in.
        """

    def __call__(self, batch: Tensors, draws: D) -> dict[str, Tensor]:
        """Return the changed batch; the given one stays as it is."""


def dump(draws: Any) -> dict[str, Tensor]:  # noqa: ANN401 - any dataclass of arrays
    """Return the arrays of draws by name (`spatial.matrix_BEE`): what safetensors and `weights_only` take."""
    stored: dict[str, Tensor] = {}
    for field in fields(draws):
        value = getattr(draws, field.name)
        if is_dataclass(value):
            stored |= {f"{field.name}.{name}": tensor for name, tensor in dump(value).items()}
        else:
            stored[field.name] = torch.from_numpy(np.array(value))  # a copy: arrays may be read-only
    return stored


def restore(kind: type[D], tensors: Tensors) -> D:
    """Return the draws that `dump` has stored, ready to be applied again.

    Raises:
        ValueError: If names are missing or unknown.
    """
    parts, hints = fields(kind), get_type_hints(kind)  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    left = dict(tensors)
    for field in parts:
        inner = {name: left.pop(name) for name in list(left) if name.startswith(f"{field.name}.")}
        if is_dataclass(hints[field.name]):
            own = {name.removeprefix(f"{field.name}."): tensor for name, tensor in inner.items()}
            values[field.name] = restore(hints[field.name], own)
        elif field.name in left:
            values[field.name] = left.pop(field.name).cpu().numpy()
    missing = [field.name for field in parts if field.name not in values]
    if missing or left:
        raise ValueError(
            f"Stored draws of {kind.__name__}: missing {missing}, unknown {sorted(left)}. "
            "Were they stored by another version?"
        )
    return kind(**values)


def sides_of(batch: Tensors, kinds: Kinds) -> Sides:
    """Return the sides that all tensors with a place in space share, after checking every one of them.

    Raises:
        ValueError: If a tensor is missing, of a wrong dtype or shape, or disagrees with the others.
    """
    seen: dict[tuple[int, Sides], str] = {}
    for name, kind in kinds.items():
        if name not in batch:
            raise ValueError(f"The batch has no {name!r}; it holds {', '.join(batch) or 'nothing'}.")
        if kind == "vector":
            continue
        tensor = batch[name]
        _check_dtype(name, kind, tensor)
        sides = tuple(tensor.shape[1 + CHANNELS[kind] :])
        if len(sides) not in (2, 3):
            raise ValueError(
                f"{kind} {name!r} has shape {tuple(tensor.shape)}; expected {SHAPES[kind]}. "
                "Is the batch or channel axis missing?"
            )
        seen.setdefault((len(tensor), sides), name)
    if len(seen) > 1:
        shapes = ", ".join(f"{name!r} {batch[name].shape[0]} x {sides}" for (_, sides), name in seen.items())
        raise ValueError(f"Tensors of one batch must agree in batch and space, got {shapes}.")
    if not seen:
        raise ValueError("The batch has no tensor with a place in space (image, label, soft or weight).")
    return next(iter(seen))[1]


def _check_dtype(name: str, kind: Kind, tensor: Tensor) -> None:
    if kind == "label":
        if tensor.is_floating_point() or tensor.is_complex():
            raise ValueError(
                f"label {name!r} is {tensor.dtype}; labels are whole numbers (uint8, int16, int32 or int64). "
                "Shares of classes are of kind 'soft'."
            )
    elif tensor.dtype != torch.float32:
        raise ValueError(
            f"{kind} {name!r} is {tensor.dtype}; expected float32. Normalise codes on the device first."
        )
