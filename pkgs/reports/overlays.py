"""Overlays: image, label, prediction, error, predicted error of a condition's best, median, worst image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pkgs.reports.metrics import number
from pkgs.reports.plot_style import FULL_WIDTH_IN, Drawing, file_name, finish, new_figure, styled
from pkgs.reports.runs import Study
from pkgs.reports.samples import Mask, Numbers, Sample, mean_scores, pick, read_sample, sample_files

LABEL, PREDICTION = (0.0, 0.62, 0.45), (0.80, 0.47, 0.65)
MISSED, INVENTED = (0.0, 0.45, 0.70), (0.90, 0.62, 0.0)
"""Blue and orange stay apart for every common colour blindness, and in grey."""
COLUMNS = ("image", "label", "prediction", "error")
PREDICTED_ERROR = "predicted error"
HEAT = "cividis"
"""Even in lightness and made for colour blindness."""
GAP_SHARE = 0.04
"""White between two pictures, as a share of a picture's width."""

Picture = NDArray[np.float64]


def draw_overlays(study: Study, condition: str, *, synthetic: bool) -> tuple[Drawing | None, list[str]]:
    """Return the overlays of `condition` (None without predictions) and sentences about broken files.

    Which images: best, median and worst by the mean IoU over the seeds, of the images that hold an object.
    Shown is the first seed. The predicted error is a column where the shown samples hold one.
    """
    samples, complaints = _read_all(study, condition)
    if not samples:
        return None, complaints
    scores = mean_scores([sample for _, sample in samples])
    chosen = pick(scores)
    seed = samples[0][0]
    shown = {
        role: next(sample for _, sample in samples if sample.name == name) for role, name in chosen.items()
    }
    predicted = any(sample.predicted_error is not None for sample in shown.values())
    columns = (*COLUMNS, PREDICTED_ERROR) if predicted else COLUMNS
    heat = _heat(list(shown.values()))
    with styled(grid=False):
        figure = new_figure(min(FULL_WIDTH_IN, 2.05 * len(columns) + 1.6), 2.2 * len(shown) + 0.55)
        lines = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for axes, (role, sample) in zip(lines, shown.items(), strict=True):
            own = "" if seed is None else f"\nseed {seed}: {number(sample.iou)}"
            _line(axes, sample, columns=columns, heat=heat)
            label = f"{role}\nmean IoU {number(scores[sample.name])}{own}"
            axes.set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center", labelpad=8)
        _column_titles(lines[0], columns)
        _legend(figure, list(lines), heat if predicted else None)
        name = file_name("overlay", condition)
        return finish(
            figure, name, _caption(condition, seed, scores, chosen), synthetic=synthetic
        ), complaints


def _caption(condition: str, seed: int | None, scores: Mapping[str, float], chosen: Mapping[str, str]) -> str:
    images = f"{len(scores)} saved test image{'' if len(scores) == 1 else 's'}"
    names = ", ".join(f"{role} {name}" for role, name in chosen.items())
    whose = "" if seed is None else f" (shown: seed {seed})"
    return f"{condition}{whose}: {names}, by the mean IoU over the seeds at p ≥ .5, of {images} with objects."


def _read_all(study: Study, condition: str) -> tuple[list[tuple[int | None, Sample]], list[str]]:
    samples: list[tuple[int | None, Sample]] = []
    complaints: list[str] = []
    for run in study.of(condition):
        for name, path in sample_files(run.folder).items():
            try:
                samples.append((run.seed, read_sample(name, path)))
            except ValueError as error:
                complaints.append(f"{run.name}: {error}")
    return samples, complaints


def _heat(samples: Sequence[Sample]) -> ScalarMappable:
    """Return one colour scale for all lines, from 0 to the largest predicted error shown."""
    maps = [sample.predicted_error for sample in samples if sample.predicted_error is not None]
    top = max((float(np.nanmax(one)) for one in maps if np.isfinite(one).any()), default=0.0)
    return ScalarMappable(Normalize(0, top if top > 0 else 1.0), mpl.colormaps[HEAT])


def _line(axes: Axes, sample: Sample, *, columns: Sequence[str], heat: ScalarMappable) -> None:
    """Show the pictures side by side as one image: axes of their own would cost most of the report's time."""
    pictures = _pictures(sample, heat)[: len(columns)]
    height, width = sample.label.shape
    gap = max(1, round(GAP_SHARE * width))
    white = np.ones((height, gap, 3))
    strip = np.concatenate([part for picture in pictures for part in (picture, white)][:-1], axis=1)
    axes.imshow((255 * strip).round().astype(np.uint8), interpolation="nearest")
    below = ["", "", "", f"wrong {100 * sample.wrong:.1f} %", _mean_text(sample.predicted_error)]
    middles = [k * (width + gap) + width / 2 - 0.5 for k in range(len(columns))]
    axes.set_xticks(middles, below[: len(columns)], fontsize=8.5)
    axes.tick_params(length=0)
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _mean_text(predicted_error: Numbers | None) -> str:
    return "none stored" if predicted_error is None else f"mean {number(float(np.mean(predicted_error)))}"


def _pictures(sample: Sample, heat: ScalarMappable) -> list[Picture]:
    image = np.clip(sample.image, 0, 1)
    plain = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    missed, invented = sample.label & ~sample.prediction, sample.prediction & ~sample.label
    pale = 0.45 + 0.55 * plain  # the errors are the subject there, the image only the place
    error = sample.predicted_error
    return [
        plain,
        _tinted(plain, sample.label, LABEL, share=0.5),
        _tinted(plain, sample.prediction, PREDICTION, share=0.5),
        _tinted(_tinted(pale, missed, MISSED, share=0.9), invented, INVENTED, share=0.9),
        np.ones_like(plain) if error is None else heat.to_rgba(np.nan_to_num(error))[:, :, :3],
    ]


def _tinted(picture: Picture, where: Mask, colour: tuple[float, float, float], *, share: float) -> Picture:
    tinted = picture.copy()
    tinted[where] = (1 - share) * picture[where] + share * np.asarray(colour)
    return tinted


def _column_titles(axes: Axes, columns: Sequence[str]) -> None:
    for middle, title in zip(axes.get_xticks(), columns, strict=True):
        place = axes.get_xaxis_transform()
        axes.text(middle, 1.02, title, transform=place, ha="center", va="bottom", fontsize=10)


def _legend(figure: Figure, lines: list[Axes], heat: ScalarMappable | None) -> None:
    handles = [Patch(color=MISSED, label="missed object"), Patch(color=INVENTED, label="invented object")]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=9)
    if heat is not None:
        bar = figure.colorbar(heat, ax=lines, location="right", shrink=0.6, aspect=30, pad=0.01)
        bar.set_label(PREDICTED_ERROR, fontsize=9)
        bar.outline.set_visible(False)
