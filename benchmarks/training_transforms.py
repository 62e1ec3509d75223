"""Random transforms of a batch beside kornia's and MONAI's: same tensors, ranges and interpolation.

The work: rotation, scale, shear and flips, all drawn per sample, of images (linear, mirrored at the border)
and their labels (nearest), from a batch in memory to a batch in memory.

Each side runs on the number of threads that suits it best, 1 or all that torch may use, tried before the
repeats: peers with many small operations lose more to waiting threads than they gain, and that must not
flatter us. The note says which, and the CPU time of a batch, which other work on the machine moves less.

Sides take turns, each for the same time: the rate is that of batch after batch, as it is for whoever prepares
them in a process of their own. torch's threads still spin on their cores for some milliseconds when a side
is done, so the next one waits until they sleep.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

import torch
from torch import Tensor

from benchmarks.side_by_side import Measured
from pkgs.data.items import Kind
from pkgs.data.transforms.config import SpatialConfig
from pkgs.data.transforms.spatial import Spatial
from pkgs.foundation.seeds import Purpose

ROTATION_DEG, SCALE, SHEAR_DEG, FLIP = 180.0, (0.8, 1.2), 5.0, 0.5
KINDS: Mapping[str, Kind] = {"image": "image", "label": "label"}

TURN_S = 0.5
"""How long a side works at a time, and at least one batch."""
SETTLE_S = 0.05
"""Until the threads of the side before sleep: they spin for 4 to 8 ms."""
CLEARLY = 1.1
"""How many times as fast all threads must be to be taken: where they gain less, the choice is chance."""

Batch = dict[str, Tensor]
Change = Callable[[Batch], Any]


@dataclass(frozen=True, slots=True)
class Contest:
    """One row of the report: a batch, a peer, and the ratio to reach."""

    name: str
    peer_name: str
    target: float
    shape: tuple[int, ...]
    peer: Callable[[int], Change]


def measure(*, repeats: int, quick: bool) -> list[Measured]:
    """Time both sides alternately, one figure (samples/s) per repeat."""
    turn_s = 0.01 if quick else TURN_S
    return [_measured(contest, repeats=repeats, turn_s=turn_s) for contest in contests(quick=quick)]


def contests(*, quick: bool) -> list[Contest]:
    planes = (16, 1, 32, 32) if quick else (16, 1, 224, 224)
    volumes = (4, 1, 16, 16, 16) if quick else (4, 1, 64, 64, 64)
    kornia, monai = "kornia AugmentationSequential", "MONAI dictionary transforms"
    return [
        Contest("transforms_vs_kornia", kornia, 8, planes, kornia_change),
        Contest("transforms_vs_monai", monai, 40, planes, monai_change),
        Contest("transforms3d_vs_monai", monai, 3, volumes, monai_change),
    ]


def batch_of(shape: tuple[int, ...]) -> Batch:
    """Return random images [B, C, *space] in [0, 1] and labels [B, *space] of four classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (shape[0], *shape[2:]), generator=generator, dtype=torch.uint8)
    return {"image": torch.rand(shape, generator=generator), "label": labels}


def our_change(dimensions: int) -> Change:
    """Return ours; each call draws for the next samples of a run, as a training does."""
    config = SpatialConfig(
        rotation_deg=(-ROTATION_DEG, ROTATION_DEG), scale=SCALE, shear_deg=(-SHEAR_DEG, SHEAR_DEG), flips=FLIP
    )
    spatial, drawn = Spatial(config, KINDS), 0

    def change(batch: Batch) -> Batch:
        nonlocal drawn
        count, sides = len(batch["image"]), tuple(batch["image"].shape[-dimensions:])
        draws = spatial.draw(0, Purpose.AUGMENT, first=drawn, batch=count, sides=sides)
        drawn += count
        return spatial(batch, draws)

    return change


def kornia_change(dimensions: int) -> Change:
    """Return kornia's; it has no mask in 3-D. Labels go as float, the only type that it takes."""
    assert dimensions == 2
    import kornia.augmentation as K  # noqa: PLC0415 - a peer may be absent

    change = K.AugmentationSequential(
        K.RandomAffine(
            degrees=ROTATION_DEG, scale=SCALE, shear=(-SHEAR_DEG, SHEAR_DEG), padding_mode="reflection", p=1.0
        ),
        K.RandomHorizontalFlip(p=FLIP),
        K.RandomVerticalFlip(p=FLIP),
        data_keys=["image", "mask"],
    )
    return lambda batch: change(batch["image"], batch["label"][:, None].float())


def monai_change(dimensions: int) -> Change:
    """Return MONAI's as its tutorials write them: one sample after another, then collated to a batch."""
    from monai.data import list_data_collate  # noqa: PLC0415
    from monai.transforms import Compose, RandAffined, RandFlipd  # noqa: PLC0415

    keys, spread = ["image", "label"], (SCALE[1] - SCALE[0]) / 2
    change = Compose(
        [
            RandAffined(
                keys=keys,
                prob=1.0,
                rotate_range=math.radians(ROTATION_DEG),
                shear_range=(math.tan(math.radians(SHEAR_DEG)), 0),
                scale_range=(spread,) * dimensions,
                mode=("bilinear", "nearest"),
                padding_mode=("reflection", "zeros"),
            ),
            *(RandFlipd(keys=keys, prob=FLIP, spatial_axis=axis) for axis in range(dimensions)),
        ]
    )
    change.set_random_state(seed=0)

    def per_sample(batch: Batch) -> Any:  # noqa: ANN401 - a MONAI batch
        samples = zip(batch["image"], batch["label"][:, None].float(), strict=True)
        return list_data_collate([change({"image": image, "label": label}) for image, label in samples])

    return per_sample


@dataclass(frozen=True, slots=True)
class Timed:
    """What some batches took."""

    samples_per_s: float
    cpu_ms: float
    """Of all threads, per batch."""


def timed(change: Change, batch: Batch, *, turn_s: float, threads: int) -> Timed:
    """Time batch after batch on a number of torch's threads, which is put back."""
    before, batches = torch.get_num_threads(), 0
    torch.set_num_threads(threads)
    sleep(SETTLE_S)
    try:
        change(batch)  # not timed
        started, started_cpu = perf_counter(), process_time()
        while not batches or perf_counter() - started < turn_s:
            change(batch)
            batches += 1
        wall_s, cpu_s = perf_counter() - started, process_time() - started_cpu
    finally:
        torch.set_num_threads(before)
    return Timed(batches * len(batch["image"]) / wall_s, 1e3 * cpu_s / batches)


def best_threads(change: Change, batch: Batch, *, turn_s: float) -> int:
    """Return all threads if they are clearly faster than one, by the better of two turns, else 1."""
    every = torch.get_num_threads()
    rates = {1: 0.0, every: 0.0}
    for threads in 2 * list(rates):
        found = timed(change, batch, turn_s=turn_s, threads=threads)
        rates[threads] = max(rates[threads], found.samples_per_s)
    return every if rates[every] > CLEARLY * rates[1] else 1


def _measured(contest: Contest, *, repeats: int, turn_s: float) -> Measured:
    batch, dimensions = batch_of(contest.shape), len(contest.shape) - 2
    sides, note = [our_change(dimensions)], ""
    try:
        sides.append(contest.peer(dimensions))
    except ImportError as error:
        note = f"absent: {error.name}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a peer's own
        threads = [best_threads(side, batch, turn_s=turn_s) for side in sides]
        found = [
            [
                timed(side, batch, turn_s=turn_s, threads=many)
                for side, many in zip(sides, threads, strict=True)
            ]
            for _ in range(repeats)
        ]
    ours, *peer = zip(*found, strict=True)
    return Measured(
        name=contest.name,
        ours=_rates(ours),
        peer=_rates(peer[0]) if peer else (),
        unit="samples/s",
        higher_is_better=True,
        target=contest.target,
        peer_name=contest.peer_name,
        note=note or _note(contest, threads, (ours, *peer)),
    )


def _rates(found: Sequence[Timed]) -> tuple[float, ...]:
    return tuple(one.samples_per_s for one in found)


def _note(contest: Contest, threads: Sequence[int], found: Sequence[Sequence[Timed]]) -> str:
    shape = " x ".join(str(side) for side in contest.shape)
    ours, peer = (
        f"{many} thread{'s' * (many > 1)}, {median(one.cpu_ms for one in side):.1f} ms of CPU a batch"
        for many, side in zip(threads, found, strict=True)
    )
    return f"images {shape} float32 with uint8 labels; ours {ours}; peer {peer}"
