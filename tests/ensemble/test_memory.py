"""Memory of an evaluation, measured: eight times the images need no more of it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pkgs.data.samples import Batch
from pkgs.ensemble import evaluation, threshold
from pkgs.errormap.scores import judge_teacher
from pkgs.models.error_teacher import ErrorPrediction
from pkgs.models.output import Output

pytestmark = pytest.mark.slow  # the quick twin is test_sums.py: the size of what is kept
SIDE_PX = 96
BATCH = 8
MMAP_THRESHOLD = -3
"""Of glibc: from which size freed memory goes back at once, so that the peak is that of what is alive."""
FEW, MANY = 16, 8 * 16
MAP_BYTES = (MANY - FEW) * SIDE_PX**2 * 4
"""What one float32 map of the further images would take: 4 MiB."""
PER_IMAGE_BYTES = 36 * 1024
"""What the judge of a teacher keeps of each image, by design: 200 sampled pixels of each predictor; a
map of one image in float64 is 72 KiB."""


@dataclass(frozen=True)
class Drawn:
    """A part whose images are drawn when they are asked for: they take no memory themselves."""

    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def ids(self) -> list[str]:
        return [f"s{place % 4}/{place}" for place in range(self.count)]

    @property
    def sources(self) -> list[str]:
        return [f"s{place % 4}" for place in range(self.count)]

    def batch(self, places: np.ndarray) -> Batch:
        generator = torch.Generator().manual_seed(int(places[0]))
        image = torch.rand(len(places), 1, SIDE_PX, SIDE_PX, generator=generator)
        discs = nn.functional.avg_pool2d(image, 33, stride=1, padding=16)[:, 0] > 0.5
        return Batch(image, discs.to(torch.uint8), tuple(self.ids[int(place)] for place in places))


class Sure(nn.Module):
    """A student that answers by a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 5, padding=2)

    def forward(self, image: torch.Tensor) -> Output:
        return Output(self.layer(image))


class Doubt(nn.Module):
    """A teacher of two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 1, 3, padding=1)
        self.register_buffer("slope", torch.ones(()))

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> ErrorPrediction:
        logits = self.layer(torch.cat([image, mask], dim=1)) - 3
        return ErrorPrediction(logits, logits.flatten(1).mean(dim=1))


def nothing() -> None:
    """Beat."""


def student_scores(part: Drawn) -> None:
    network = Sure()
    evaluation.evaluate(network, part, batch=BATCH, check=nothing)  # type: ignore[arg-type]
    temperature = evaluation.temperature_on(part, network, batch=BATCH, check=nothing)  # type: ignore[arg-type]
    whole = evaluation.judge(network, part, temperature=temperature, batch=BATCH, check=nothing)  # type: ignore[arg-type]
    assert sum(sums.images for sums in whole.values()) == len(part)


def teacher_scores(part: Drawn) -> None:
    masks = {"own": lambda samples: torch.sigmoid(4 * samples.image_B1HW - 2)}
    scores = judge_teacher(Doubt(), masks=masks, val=part, test=part, seed=1, batch=BATCH)  # type: ignore[arg-type]
    assert scores.pooled("own")["images"] == len(part)


def threshold_scores(part: Drawn) -> None:
    threshold.judge(threshold.best_threshold(part), part)  # type: ignore[arg-type]


def growth_bytes(evaluate: Callable[[Drawn], None]) -> int:
    """Return by how much the peak of a process's memory is higher for MANY images than for FEW."""
    answer, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            torch.set_num_threads(1)
            ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, 32 * 1024)
            evaluate(Drawn(FEW))  # what is made once: kernels, tables, the allocator's pools
            peaks = [peak_bytes(evaluate, count) for count in (FEW, MANY)]
            os.write(told, f"{peaks[1] - peaks[0]}".encode())
        finally:
            os._exit(0)
    os.close(told)
    with os.fdopen(answer) as file:
        said = file.read()
    os.waitpid(child, 0)
    assert said, "the evaluation failed in the child"
    return int(said)


def peak_bytes(evaluate: Callable[[Drawn], None], count: int) -> int:
    """Return the highest resident memory while so many images are evaluated."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    evaluate(Drawn(count))
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.fixture(autouse=True)
def needs_proc() -> Iterator[None]:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the kernel does not tell of a process's peak")
    return


@pytest.mark.parametrize("evaluate", [student_scores, threshold_scores])
def test_eight_times_the_images_take_no_more_memory(evaluate: Callable[[Drawn], None]) -> None:
    grown = growth_bytes(evaluate)
    print(f"{evaluate.__name__}: {grown / 2**20:.2f} MiB more")  # noqa: T201 - shown by `pytest -s`
    assert grown < MAP_BYTES / 2


def test_the_judge_of_a_teacher_keeps_samples_of_each_image_and_no_map() -> None:
    grown = growth_bytes(teacher_scores)
    print(f"teacher: {grown / (MANY - FEW) / 1024:.1f} KiB per image")  # noqa: T201
    assert grown < (MANY - FEW) * PER_IMAGE_BYTES


def test_the_measure_sees_a_map_that_is_kept() -> None:
    kept = []

    def keep(part: Drawn) -> None:
        kept.clear()
        kept.extend(torch.ones(SIDE_PX, SIDE_PX) for _ in range(len(part)))

    assert growth_bytes(keep) > MAP_BYTES / 2
