"""Streaming calibration beside torchmetrics and MONAI: the same batches, and one ECE at the end.

Ours checks shapes, labels and range of every batch, as torchmetrics does by default. Each side runs on the
number of threads that suits it better, 1 or all; the note says which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from benchmarks.side_by_side import Measured
from pkgs.training.metrics import BINS, measure_reliability, merged

Batches = Sequence[tuple[Tensor, Tensor]]
"""Probabilities and labels, each [B, H, W]."""

NAME: Final = "calibration_vs_torchmetrics"
TARGET: Final = 5.0
TOLERANCE: Final = 1e-4
"""How far the peers may be on one batch: they sum in float32, and are further off with every batch."""


def measure(*, repeats: int, quick: bool) -> list[Measured]:
    """Return the seconds per batch of 16 x 224 x 224 pixels, ours and the peers', repeat by repeat.

    Raises:
        ValueError: If a peer's ECE is another than ours: no p is 1, so the conventions are the same.
    """
    batches = make_batches(2 if quick else 8, side=32 if quick else 224)
    results = [
        _beside(NAME, "torchmetrics", torchmetrics_ece, batches, repeats=repeats, target=TARGET),
        _beside(
            "calibration_vs_torchmetrics_unchecked",
            "torchmetrics",
            torchmetrics_unchecked_ece,
            batches,
            repeats=repeats,
            target=1.0,
            note="validate_args=False: the peer checks nothing, ours everything",
        ),
    ]
    return [
        *results,
        _beside("calibration_vs_monai", "monai", monai_ece, batches, repeats=repeats, target=1.0),
    ]


def make_batches(count: int, *, side: int) -> Batches:
    """Return look-alikes of a trained segmentation's output; no p is 1."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(count):
        p = torch.sigmoid(3 * torch.randn(16, side, side, generator=generator)).clamp(max=0.9999)
        batches.append((p, (torch.rand(p.shape, generator=generator) < p).to(torch.uint8)))
    return batches


def our_ece(batches: Batches) -> float:
    """Return the pooled ECE from sums whose size does not depend on the number of pixels."""
    return merged(merged(measure_reliability(p, label)) for p, label in batches).ece()


def torchmetrics_ece(batches: Batches) -> float:
    """Return torchmetrics' ECE, with the checks that it makes by default."""
    return _torchmetrics(batches, validate_args=True)


def torchmetrics_unchecked_ece(batches: Batches) -> float:
    """Return torchmetrics' ECE without any check."""
    return _torchmetrics(batches, validate_args=False)


def monai_ece(batches: Batches) -> float:
    """Return the pooled ECE of MONAI's bins; its own metric averages over images instead."""
    from monai.metrics.calibration import calibration_binning  # noqa: PLC0415 - a peer

    gaps, pixels = torch.zeros(BINS, dtype=torch.float64), 0
    for p, label in batches:
        mean_p, share, count = calibration_binning(p[:, None], label[:, None].float(), num_bins=BINS)
        distance = ((mean_p - share).double() * count).nan_to_num()
        gaps += distance.sum(dim=(0, 1))
        pixels += p.numel()
    return float(gaps.abs().sum() / pixels)


def _torchmetrics(batches: Batches, *, validate_args: bool) -> float:
    from torchmetrics.classification import BinaryCalibrationError  # noqa: PLC0415 - a peer

    metric = BinaryCalibrationError(n_bins=BINS, norm="l1", validate_args=validate_args)
    for p, label in batches:
        metric.update(p, label)
    return float(metric.compute())


def _beside(  # noqa: PLR0913 - all by name but the pair
    name: str,
    peer_name: str,
    peer: Callable[[Batches], float],
    batches: Batches,
    *,
    repeats: int,
    target: float,
    note: str = "",
) -> Measured:
    """Measure ours and `peer` alternately after a warm-up in which they must agree."""
    wanted, sides = our_ece(batches[:1]), [our_ece]
    times: tuple[list[float], list[float]] = ([], [])
    try:
        found = peer(batches[:1])
    except ImportError as error:
        note = f"{peer_name} is not installed ({error})"
    else:
        if abs(found - wanted) > TOLERANCE:
            raise ValueError(f"{peer_name} has an ECE of {found:.6f} where ours is {wanted:.6f}.")
        sides.append(peer)
    threads = [_best_threads(side, batches) for side in sides]
    for _ in range(repeats):
        for side, many, taken in zip(sides, threads, times, strict=False):
            taken.append(_seconds_per_batch(side, batches, threads=many))
    return Measured(
        name=name,
        ours=tuple(times[0]),
        peer=tuple(times[1]),
        unit="s/batch",
        higher_is_better=False,
        target=target,
        peer_name=peer_name,
        note="; ".join(filter(None, (note, _threads_note(threads)))),
    )


def _threads_note(threads: Sequence[int]) -> str:
    sides = zip(("ours", "peer"), threads, strict=False)
    return ", ".join(f"{side} on {many} thread{'s' * (many > 1)}" for side, many in sides)


def _best_threads(run: Callable[[Batches], float], batches: Batches) -> int:
    """Return the number of threads, 1 or all, on which the fastest of three runs is faster; a warm-up too."""
    fastest = {
        threads: min(_seconds_per_batch(run, batches, threads=threads) for _ in range(3))
        for threads in sorted({1, torch.get_num_threads()})
    }
    return min(fastest, key=fastest.__getitem__)


def _seconds_per_batch(run: Callable[[Batches], float], batches: Batches, *, threads: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        start = time.perf_counter()
        run(batches)
        return (time.perf_counter() - start) / len(batches)
    finally:
        torch.set_num_threads(before)
