"""What an array of a 2-D item is, told by its axes and type; items carry names alone.

Three axes: channels first, changed linearly. Two axes: a label if whole numbers, else a weight. One: a
vector.
"""

from __future__ import annotations

import numpy as np

from pkgs.data.items import Array, ArraySpec, DataError, Header, Kind


def has_space(array: Array) -> bool:
    """Say whether the array has rows and columns."""
    return array.ndim > 1


def is_label(array: Array) -> bool:
    """Say whether the array holds class or object numbers, of which no mean may be taken."""
    return array.ndim == 2 and array.dtype.kind in "bui"


def require_planes(header: Header, *, by: str) -> None:
    """Refuse arrays whose kind their axes and type do not tell.

    Args:
        header: Of the item.
        by: Name of the preparation.

    Raises:
        DataError: Names the array: a volume, a label of fractions, a weight of whole numbers.
    """
    for name, spec in header.arrays.items():
        if spec.kind not in told_kinds(spec):
            raise DataError(
                f"{by}: {name!r} is a {spec.kind} of {spec.dtype} with shape {spec.shape}; expected 2-D "
                "planes: image and soft [C, H, W], label [H, W] of whole numbers, "
                "weight [H, W] of fractions, vector [K]."
            )


def told_kinds(spec: ArraySpec) -> tuple[Kind, ...]:
    """Return the kinds that an array of these axes and type may have."""
    if len(spec.shape) == 3:
        return ("image", "soft")
    if len(spec.shape) == 2:
        return ("label",) if np.dtype(spec.dtype).kind in "bui" else ("weight",)
    return ("vector",)
