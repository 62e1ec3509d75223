"""Volumes in anatomical axes: right, anterior, superior, by permuting and flipping alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from pkgs.data.items import ArraySpec, Header, Item
from pkgs.data.prepare.geometry import canonical_axes, matrix_of, rows_of, turned


@final
@dataclass(frozen=True)
class Reorient:
    """Permute and flip the array axes to the nearest right-anterior-superior order; no value changes.

    What is oblique stays so, in the affine. Arrays of every kind but `vector` follow.
    """

    def planned(self, header: Header) -> Header:
        affine = matrix_of(header, purpose="Reorient")
        axes, flips = canonical_axes(affine)
        shape = _space(header)
        arrays = {
            name: spec if spec.kind == "vector" else replace(spec, shape=_permuted(spec, axes))
            for name, spec in header.arrays.items()
        }
        spacing = tuple(header.spacing_mm[axis] for axis in axes)
        return Header(arrays, spacing, rows_of(turned(affine, shape, axes=axes, flips=flips)))

    def apply(self, item: Item, header: Header) -> Item:
        axes, flips = canonical_axes(matrix_of(header, purpose="Reorient"))
        turns = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
        turned_item = {}
        for name, array in item.items():
            if header.arrays[name].kind == "vector":
                turned_item[name] = array
                continue
            lead = array.ndim - 3
            order = [*range(lead), *(lead + axis for axis in axes)]
            turned_item[name] = np.ascontiguousarray(array.transpose(order)[(..., *turns)])
        return turned_item


def _space(header: Header) -> tuple[int, ...]:
    return next(spec.shape[-3:] for spec in header.arrays.values() if spec.kind != "vector")


def _permuted(spec: ArraySpec, axes: tuple[int, int, int]) -> tuple[int, ...]:
    return (*spec.shape[:-3], *(spec.shape[-3:][axis] for axis in axes))
