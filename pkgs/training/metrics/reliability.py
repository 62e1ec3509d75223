"""Per bin of p: how many, their mean p, and the share that came true. Streaming and exact.

From such a table follow ECE, MCE, the reliability curve, and with many bins also the ranking of pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from pkgs.foundation.threads import share_out
from pkgs.training.metrics.checks import IGNORE, probabilities, same_shape, whole_labels
from pkgs.training.metrics.fixed import UNIT, codes
from pkgs.training.metrics.pieces import SPAN, spans
from pkgs.training.metrics.sums import Sums

BINS: Final = 15
FINE_BINS: Final = 4096
"""Bins that stand in for the values themselves; a power of two, so that the edges are exact."""

PACK: Final = (SPAN * UNIT).bit_length()
"""Bit from which on a packed sum holds the count; below, SPAN times p = 1 has room."""

SHARE: Final = 2**17
"""Pixels per thread below which none is started: 0.15 ms, where handing work over takes 0.05 ms."""


@dataclass(frozen=True, slots=True)
class Point:
    """One bin of a reliability curve. `mean_p` and `share` are NaN where `count` is 0."""

    low: float
    high: float
    count: int
    mean_p: float
    share: float


@final
@dataclass(frozen=True, slots=True)
class Reliability(Sums):
    """The table of n equal bins: p is in bin min(floor(n p), n - 1), so that p = 1 is in the last.

    p enters as the nearest multiple of 1 / UNIT; what n p rounds to in float32 decides the bin.
    """

    count: tuple[int, ...] = ()
    p: tuple[int, ...] = ()
    """Per bin the sum of p, fixed point."""
    y: tuple[int, ...] = ()
    """Per bin how many came true."""

    @property
    def total(self) -> int:
        return sum(self.count)

    def scores(self) -> dict[str, float]:
        return {"ece": self.ece(), "mce": self.mce()}

    def ece(self) -> float:
        """Return sum_b n_b / N |mean p - share|, NaN without any pixel. Guo et al. 2017, eq. 3."""
        total = self.total
        return sum(count * gap for count, gap in self._gaps()) / total if total else math.nan

    def mce(self, *, at_least: int = 1) -> float:
        """Return the largest |mean p - share| over bins with `at_least` pixels, NaN if there are none."""
        return max((gap for count, gap in self._gaps() if count >= at_least), default=math.nan)

    def curve(self) -> list[Point]:
        """Return the reliability curve, one point per bin."""
        bins = len(self.count)
        return [
            Point(
                b / bins,
                (b + 1) / bins,
                count,
                p / UNIT / count if count else math.nan,
                y / count if count else math.nan,
            )
            for b, (count, p, y) in enumerate(zip(self.count, self.p, self.y, strict=True))
        ]

    def adaptive(self, *, bins: int = BINS) -> Reliability:
        """Return a table of `bins` groups of equal mass, from a table of many bins that is not cut further.

        A bin belongs to group floor(bins * (pixels before it) / N).
        """
        groups = [[0, 0, 0] for _ in range(bins)]
        before, total = 0, self.total
        for count, p, y in zip(self.count, self.p, self.y, strict=True):
            if count:
                group = groups[bins * before // total]
                group[0], group[1], group[2] = group[0] + count, group[1] + p, group[2] + y
            before += count
        counts, sums_p, sums_y = zip(*groups, strict=True)
        return Reliability(counts, sums_p, sums_y)

    def _gaps(self) -> list[tuple[int, float]]:
        return [
            (count, abs(p / UNIT - y) / count)
            for count, p, y in zip(self.count, self.p, self.y, strict=True)
            if count
        ]


def measure_reliability(p: Tensor, label: Tensor, *, bins: int = BINS) -> list[Reliability]:
    """Return the table of each image.

    Args:
        p: Probabilities [B, ...] that `label` is 1.
        label: 0, 1 or IGNORE, same shape.
        bins: 15 for ECE and MCE; 4096 for `adaptive` and the ranking of pixels.

    Raises:
        ValueError: If the shapes differ, the batch is empty, a p is outside of [0, 1] or a label is another.
    """
    same_shape(p, label)
    probabilities(p)
    whole_labels(label, classes=2)
    return tables(p.float().reshape(len(p), -1), label.reshape(len(label), -1), bins=bins)


def tables(p_BN: Tensor, label_BN: Tensor, *, bins: int = BINS) -> list[Reliability]:
    """Return the table of each row of checked float32 probabilities."""
    count, sums = torch.zeros(2, len(p_BN), 2 * bins + 1, dtype=torch.long, device=p_BN.device)
    (_scatter if p_BN.is_cuda else _tally)(p_BN, label_BN, count, sums)
    count_BM2, sums_BM2 = (each[:, : 2 * bins].reshape(-1, bins, 2) for each in (count, sums))
    columns = (count_BM2.sum(dim=2).tolist(), sums_BM2.sum(dim=2).tolist(), count_BM2[:, :, 1].tolist())
    return [Reliability(tuple(n), tuple(p), tuple(y)) for n, p, y in zip(*columns, strict=True)]


def _tally(p_BN: Tensor, label_BN: Tensor, count: Tensor, sums: Tensor) -> None:
    """Add up by a compiled loop, rows shared out over torch's threads."""
    from pkgs.training.metrics.reliability_kernel import tally  # noqa: PLC0415 - loads numba

    p, label = p_BN.detach().contiguous().numpy(), label_BN.to(torch.uint8).contiguous().numpy()
    table, bins = (count.numpy(), sums.numpy()), count.shape[1] // 2
    share_out(
        lambda start, stop: tally(p, label, bins, IGNORE, UNIT, PACK, SPAN, *table, start, stop),
        count=len(p),
        threads=min(torch.get_num_threads(), max(1, p.size // SHARE)),
    )


def _scatter(p_BN: Tensor, label_BN: Tensor, count: Tensor, sums: Tensor) -> None:
    """Add up by one scatter of integers, the sums of p with the counts above bit PACK.

    Sums of floats would depend on the order, and CUDA refuses a weighted `bincount` under the determinism
    switch. Ignored pixels go to a last place.
    """
    bins = count.shape[1] // 2
    for p, label in spans(p_BN, label_BN):
        place = torch.add(label.long(), (p * bins).clamp_(max=bins - 1).long(), alpha=2)
        place.masked_fill_(label == IGNORE, 2 * bins)
        packed = torch.zeros_like(count).scatter_add_(1, place, codes(p, plus=1 << PACK))
        count += packed >> PACK
        sums += packed & ((1 << PACK) - 1)
