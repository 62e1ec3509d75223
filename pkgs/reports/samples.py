"""The saved test predictions of a run: image, label and probability of a few samples, and their IoU."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pkgs.foundation.run_folder import RunFolder

THRESHOLD = 0.5
RGB = 3
IGNORE = 255
"""Label of pixels without a label; labels are 0 and 1 otherwise."""
BROKEN = (OSError, ValueError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What numpy, zipfile and zlib raise for a file that is cut off, damaged, or no .npz."""
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """One test image with what the network made of it; all arrays have one shape, (height, width).

    A colour image has a third axis of red, green and blue.
    """

    name: str
    image: Numbers
    label: Mask
    probability: Numbers
    seen: Mask
    """False where the label says nothing: no metric counts these pixels."""
    predicted_error: Numbers | None = None
    """What an error predictor said of each pixel, in [0, 1]; None where none was asked."""

    @property
    def prediction(self) -> Mask:
        return np.asarray(self.probability >= THRESHOLD) & self.seen

    @property
    def wrong(self) -> float:
        """Share of wrong pixels among those with a label; NaN without any."""
        seen = int(np.count_nonzero(self.seen))
        return int(np.count_nonzero(self.label != self.prediction)) / seen if seen else math.nan

    @property
    def iou(self) -> float:
        """IoU of this image alone; 1 when label and prediction are both empty."""
        union = int(np.count_nonzero(self.label | self.prediction))
        return int(np.count_nonzero(self.label & self.prediction)) / union if union else 1.0


def sample_files(folder: RunFolder) -> dict[str, Path]:
    """Return the sample files of a run by name: `predictions/**/<name>.npz`."""
    return {
        path.relative_to(folder.predictions).with_suffix("").as_posix(): path
        for path in sorted(folder.predictions.rglob("*.npz"))
    }


def read_sample(name: str, path: Path) -> Sample:
    """Read one sample.

    Raises:
        ValueError: If the file is broken, lacks an array, or its arrays differ in shape.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {key: np.squeeze(arrays[key]) for key in arrays.files}
    except BROKEN as error:
        raise ValueError(f"predictions/{name}.npz cannot be read ({error}).") from None
    lacking = [key for key in ("image", "label", "probability") if key not in found]
    if lacking:
        raise ValueError(
            f"predictions/{name}.npz has no array {', '.join(lacking)}; it has {', '.join(found) or 'none'}."
        )
    image, label, probability = found["image"], found["label"], found["probability"]
    if image.ndim == 3 and image.shape[0] == RGB:  # as networks see it: colours first
        image = np.moveaxis(image, 0, 2)
    plane = image.shape[:2] if image.ndim >= 2 and image.shape[2:] in ((), (RGB,)) else None
    if not plane == label.shape == probability.shape:
        shapes = f"image {image.shape}, label {label.shape}, probability {probability.shape}"
        raise ValueError(
            f"predictions/{name}.npz: {shapes}; expected one shape (height, width), of the image also with 3 "
            "colours."
        )
    predicted_error = found.get("predicted_error")
    if predicted_error is not None and predicted_error.shape != label.shape:
        raise ValueError(
            f"predictions/{name}.npz: predicted_error {predicted_error.shape}; expected the image's shape "
            f"{label.shape}."
        )
    seen = np.asarray(label != IGNORE)
    known = str(found["sample"]) if "sample" in found else name  # file names cannot hold the `/` of an id
    return Sample(
        known,
        _unit(image),
        np.asarray(label > 0) & seen,
        _unit(probability),
        seen,
        None if predicted_error is None else _unit(predicted_error),
    )


def _unit(values: NDArray[np.generic]) -> Numbers:
    """Return values in [0, 1]; whole numbers are codes of their type's range."""
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray(values, dtype=np.float64) / float(np.iinfo(values.dtype.name).max)
    return np.asarray(values, dtype=np.float64)


def pick(scores: dict[str, float]) -> dict[str, str]:
    """Return the best, median and worst name by score; ties by name, of two middle ones the worse."""
    ranked = sorted(
        (name for name in scores if math.isfinite(scores[name])), key=lambda name: (scores[name], name)
    )
    if not ranked:
        return {}
    wanted = {"best": ranked[-1], "median": ranked[(len(ranked) - 1) // 2], "worst": ranked[0]}
    chosen: dict[str, str] = {}
    for role, name in wanted.items():
        if name not in chosen.values():
            chosen[role] = name
    return chosen


def mean_scores(samples: Sequence[Sample]) -> dict[str, float]:
    """Return each name's mean IoU over the runs; images without an object only where there are no others.

    An empty image scores 1 or 0 and would always be the best or the worst.
    """
    with_object = [sample for sample in samples if sample.label.any()]
    scores: dict[str, list[float]] = {}
    for sample in with_object or samples:
        scores.setdefault(sample.name, []).append(sample.iou)
    return {name: math.fsum(values) / len(values) for name, values in scores.items()}
