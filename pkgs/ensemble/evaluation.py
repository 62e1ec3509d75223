"""Scores of a student on unseen sources, its calibration sums, and a few stored predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from pkgs.data.samples import Batch, Part
from pkgs.ensemble.columns import COUNTS
from pkgs.ensemble.sums import SegmentationSums, measure_test
from pkgs.ensemble.temperature import LogitSums
from pkgs.foundation.seeds import Purpose, derive
from pkgs.training.metrics import BINS, HALF, UNIT, PixelSums, macro, measure, merged
from pkgs.training.tables import Cell

CALIBRATION: Final = ("weights", "source", "bin", "count", "sum_p", "sum_y", *COUNTS)
POOLED: Final = "pooled"
"""The row over all test images together: the headline."""
MACRO: Final = "macro"
"""The row of the mean over sources."""

PerSource = dict[str, PixelSums]
"""What a validation keeps of each source."""
PerSourceWhole = dict[str, SegmentationSums]
"""What the test keeps of each source."""
PredictedError = Callable[[Batch, Tensor], Tensor | None]
"""From samples and probabilities [B, 1, H, W] to r [B, 1, H, W]; None where nobody predicts errors."""


def no_teacher(samples: Batch, probability_B1HW: Tensor) -> None:
    """Predict no error."""
    del samples, probability_B1HW


def evaluate(network: nn.Module, part: Part, *, batch: int, check: Callable[[], None]) -> PerSource:
    """Return the sums of every source of `part`; `check` is called before each batch."""
    per_source: PerSource = {}
    sources = part.sources
    with judging(network):
        for indices, samples in batches_of(network, part, batch):
            check()
            for index, sums in zip(
                indices, measure(network(samples.image_BCHW).logits, samples.label_BHW), strict=True
            ):
                source = sources[index]
                per_source[source] = per_source.get(source, PixelSums()) + sums
    return per_source


def judge(  # noqa: PLR0913 - all by name
    network: nn.Module,
    test: Part,
    *,
    temperature: float,
    batch: int,
    check: Callable[[], None],
    drop_p1_bin: bool = False,
    threshold: float = HALF,
) -> PerSourceWhole:
    """Return everything that is known of every source of `test`; `check` is called before each batch.

    Args:
        network: Any from images to `Output`.
        test: With numbered objects where the data have them.
        temperature: T of `temperature_on` val.
        batch: Images at once.
        check: Beats, for instance.
        drop_p1_bin: As in `measure_test`.
        threshold: As in `measure_test`.
    """
    whole: PerSourceWhole = {}
    sources = test.sources
    with judging(network):
        for places, samples in batches_of(network, test, batch):
            check()
            parts = measure_test(
                network(samples.image_BCHW).logits,
                samples.label_BHW,
                instances_BHW=samples.instances_BHW,
                temperature=temperature,
                drop_p1_bin=drop_p1_bin,
                threshold=threshold,
            )
            for place, sums in zip(places, parts, strict=True):
                source = sources[place]
                whole[source] = whole.get(source, SegmentationSums()) + sums
    return whole


def temperature_on(val: Part, network: nn.Module, *, batch: int, check: Callable[[], None]) -> float:
    """Return the temperature that fits the network's probabilities to `val`."""
    sums = LogitSums()
    with judging(network):
        for _, samples in batches_of(network, val, batch):
            check()
            sums.add(network(samples.image_BCHW).logits, samples.label_BHW)
    return sums.temperature()


def test_rows(weights: str, whole: PerSourceWhole) -> list[dict[str, Cell]]:
    """Return the rows of test.csv for one set of weights: every source, macro mean, pooled."""
    pooled = merged(whole.values())
    rows: list[dict[str, Cell]] = [_row(weights, source, sums) for source, sums in sorted(whole.items())]
    means = macro(whole.values())
    rows.append({"weights": weights, "source": MACRO, "images": pooled.pixels.cases, **means})
    rows.append(_row(weights, POOLED, pooled))
    return rows


def calibration_rows(weights: str, whole: PerSourceWhole) -> list[dict[str, Cell]]:
    """Return the rows of predictions/calibration.csv: sums that can be merged over sources and seeds."""
    return [
        {
            "weights": weights,
            "source": source,
            "bin": number,
            "count": sums.foreground.count[number],
            "sum_p": sums.foreground.p[number] / UNIT,
            "sum_y": sums.foreground.y[number],
            **{name: getattr(sums.pixels, name) for name in COUNTS},
        }
        for source, sums in sorted(whole.items())
        for number in range(BINS)
    ]


def chosen(part: Part, *, count: int, seed: int) -> list[int]:
    """Return which images are stored, by `seed` (the split's) and ids; images with objects first."""
    ids = part.ids
    empty = [not bool((part.batch(np.array([k])).label_BHW == 1).any()) for k in range(len(part))]
    order = sorted(range(len(part)), key=lambda k: (empty[k], derive(seed, Purpose.SPLIT, "shown", ids[k])))
    return sorted(order[:count])


def store_predictions(
    network: nn.Module,
    part: Part,
    *,
    indices: list[int],
    folder: Path,
    error: PredictedError = no_teacher,
) -> None:
    """Write `<source>__<stem>.npz` per index: `image`, `label`, `probability` [H, W] and `sample`.

    Of a colour image `image` is the mean over its channels; `colours` [H, W, 3] has R, G, B in [0, 1].

    Args:
        network: Whose probabilities.
        part: Of which images.
        indices: Places in the part.
        folder: Where to.
        error: Adds `predicted_error` [H, W], the share of the largest error, unless it returns None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with judging(network):
        for index in indices:
            sample = part.batch(np.array([index])).to(_device(network))
            probability = torch.sigmoid(network(sample.image_BCHW).logits.float())
            predicted = error(sample, probability)
            grey_1HW = sample.image_BCHW[0].mean(dim=0, keepdim=True)
            maps = {"image": grey_1HW, "label": sample.label_BHW, "probability": probability[0]}
            if predicted is not None:
                maps["predicted_error"] = predicted[0]
            if sample.image_BCHW.shape[1] > 1:
                maps["colours"] = sample.image_BCHW.movedim(1, -1)
            name = sample.ids[0]
            kept: dict[str, Any] = {key: value[0].cpu().numpy() for key, value in maps.items()}
            np.savez_compressed(folder / f"{name.replace('/', '__')}.npz", sample=np.array(name), **kept)


@contextmanager
def judging(network: nn.Module) -> Iterator[None]:
    """Evaluate without gradients, and leave the network in the mode in which it was."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(was_training)


def batches_of(network: nn.Module, part: Part, batch: int) -> Iterator[tuple[list[int], Batch]]:
    """Yield the part in order: places, and samples on the network's device."""
    for start in range(0, len(part), batch):
        indices = np.arange(start, min(start + batch, len(part)))
        yield indices.tolist(), part.batch(indices).to(_device(network))


def _device(network: nn.Module) -> torch.device:
    weight: Tensor = next(network.parameters())
    return weight.device


def _row(weights: str, source: str, sums: SegmentationSums) -> dict[str, Cell]:
    return {
        "weights": weights,
        "source": source,
        "images": sums.pixels.cases,
        **sums.scores(),
        **sums.counts(),
    }
