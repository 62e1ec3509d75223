"""How far apart the surfaces of two masks are, in mm: MONAI's functions behind our rule for empty masks.

Both empty: `nsd` is 1, distances are NaN. One empty: `nsd` is 0, distances are NaN. Means skip NaN and say
how many are left; no value stands in for a distance that does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from pkgs.training.metrics.checks import IGNORE, same_shape, whole_labels, yes_or_no
from pkgs.training.metrics.fixed import UNIT, fixed
from pkgs.training.metrics.sums import Sums

DISTANCES: Final = ("hd", "hd95", "assd")


@final
@dataclass(frozen=True, slots=True)
class Surface(Sums):
    """Sums over cases."""

    cases: int = 0
    both_empty: int = 0
    false_alarm: int = 0
    """Cases with an empty reference, and a prediction that is not."""
    missed: int = 0
    """Cases with an empty prediction, and a reference that is not."""
    distances: tuple[int, ...] = ()
    """Sums over the cases with two surfaces of DISTANCES in mm, fixed point."""
    nsd: int = 0
    """Sum over cases, fixed point."""
    nsd_present: int = 0
    """Sum over cases whose reference is not empty, fixed point."""

    @property
    def defined(self) -> int:
        """Cases with two surfaces."""
        return self.cases - self.both_empty - self.false_alarm - self.missed

    @property
    def present(self) -> int:
        """Cases whose reference is not empty."""
        return self.defined + self.missed

    def scores(self) -> dict[str, float]:
        """Return the means: `hd`, `hd95`, `assd` over two surfaces, `nsd` over cases, `nsd_present`."""
        sums = self.distances if self.defined else (math.nan,) * len(DISTANCES)
        means = {name: each / UNIT / (self.defined or 1) for name, each in zip(DISTANCES, sums, strict=True)}
        return means | {
            "nsd": self.nsd / UNIT / self.cases if self.cases else math.nan,
            "nsd_present": self.nsd_present / UNIT / self.present if self.present else math.nan,
        }

    def counts(self) -> dict[str, int]:
        names = ("cases", "defined", "present", "both_empty", "false_alarm", "missed")
        return {name: getattr(self, name) for name in names}


def measure_surface(
    prediction: Tensor, label: Tensor, *, spacing_mm: Sequence[float], tolerance_mm: float
) -> Surface:
    """Return the surface distances of one case.

        hd    the largest distance from a surface voxel of one mask to the surface of the other
        hd95  the larger of the two directed 95th percentiles
        assd  the mean of both directed lists together
        nsd   the share of surface voxels, of both masks together, within `tolerance_mm` of the other surface

    A surface voxel has a neighbour outside along an axis; the border of the volume is outside.

    Args:
        prediction: Yes or no, [D, H, W] or [H, W].
        label: 0, 1, or IGNORE (both masks are taken to be empty there), same shape.
        spacing_mm: Distance of voxels along each axis.
        tolerance_mm: At least 0.

    Raises:
        ValueError: If shapes, spacing, tolerance or values are others.

    Source: Nikolov et al. 2018, arXiv:1809.04430 (nsd, by voxels).
    """
    same_shape(prediction, label)
    whole_labels(label, classes=2)
    if len(spacing_mm) != label.dim() or not all(0 < each < math.inf for each in spacing_mm):
        raise ValueError(
            f"Spacing must have one positive length in mm per axis, got {tuple(spacing_mm)} "
            f"for the shape {tuple(label.shape)}."
        )
    if not 0 <= tolerance_mm < math.inf:
        raise ValueError(f"The tolerance must be a length in mm of at least 0, got {tolerance_mm}.")
    found, wanted = yes_or_no(prediction) & (label != IGNORE), label == 1
    if not bool(found.any()) or not bool(wanted.any()):
        return _without_surfaces(found=bool(found.any()), wanted=bool(wanted.any()))
    there, back = _directed(*_joint_box(found, wanted), spacing_mm)
    near = int((there <= tolerance_mm).sum() + (back <= tolerance_mm).sum())
    nsd = fixed(near / (len(there) + len(back)))
    values = (
        max(float(there.max()), float(back.max())),
        max(float(torch.quantile(each, 0.95)) for each in (there, back)),
        float(torch.cat([there, back]).mean()),
    )
    return Surface(cases=1, distances=tuple(map(fixed, values)), nsd=nsd, nsd_present=nsd)


def _without_surfaces(*, found: bool, wanted: bool) -> Surface:
    both = not found and not wanted
    return Surface(
        cases=1, both_empty=int(both), false_alarm=int(found), missed=int(wanted), nsd=UNIT if both else 0
    )


def _joint_box(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return both masks within the box around what is in either: distances look no further."""
    places = (found | wanted).nonzero()
    low, high = places.amin(dim=0).tolist(), (places.amax(dim=0) + 1).tolist()
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return found[box].cpu(), wanted[box].cpu()


def _directed(found: Tensor, wanted: Tensor, spacing_mm: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the distances of each mask's surface voxels to the other surface, in mm, float64."""
    from monai.metrics.utils import get_mask_edges, get_surface_distance  # noqa: PLC0415 - heavy

    edges = get_mask_edges(found, wanted)
    spacing = list(spacing_mm)
    there = get_surface_distance(edges[0], edges[1], spacing=spacing)
    back = get_surface_distance(edges[1], edges[0], spacing=spacing)
    return torch.as_tensor(there).double(), torch.as_tensor(back).double()
