"""Overlays: image, label, prediction and error of the best, median and worst test image of a condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pkgs.reports.metrics import number
from pkgs.reports.plot_style import Drawing, finish, new_figure, styled
from pkgs.reports.runs import Study
from pkgs.reports.samples import Mask, Sample, mean_scores, pick, read_sample, sample_files

LABEL, PREDICTION = (0.0, 0.62, 0.45), (0.80, 0.47, 0.65)
MISSED, INVENTED = (0.0, 0.45, 0.70), (0.90, 0.62, 0.0)
"""Blue and orange stay apart for every common colour blindness, and in grey."""
COLUMNS = ("image", "label", "prediction", "error")


def draw_overlays(study: Study, condition: str, *, synthetic: bool) -> tuple[Drawing | None, list[str]]:
    """Return the overlays of `condition` (None without predictions) and sentences about broken files."""
    samples, complaints = _read_all(study, condition)
    if not samples:
        return None, complaints
    scores = mean_scores([sample for _, sample in samples])
    chosen = pick(scores)
    shown = {
        role: next(sample for _, sample in samples if sample.name == name) for role, name in chosen.items()
    }
    seed = samples[0][0]
    with styled(grid=False):
        figure = new_figure(9.8, 2.25 * len(shown) + 0.55)
        grid = figure.subplots(len(shown), len(COLUMNS), squeeze=False)
        for line, (role, sample) in zip(grid, shown.items(), strict=True):
            own = "" if seed is None else f"\nseed {seed}: {number(sample.iou)}"
            _line(list(line), sample, f"{role}\nmean IoU {number(scores[sample.name])}{own}")
        for axes, title in zip(grid[0], COLUMNS, strict=True):
            axes.set_title(title)
        handles = [Patch(color=MISSED, label="missed object"), Patch(color=INVENTED, label="invented object")]
        figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=9)
        caption = _caption(condition, seed, scores, chosen)
        return finish(
            figure, f"overlay_{condition.replace('/', '-')}", caption, synthetic=synthetic
        ), complaints


def _caption(condition: str, seed: int | None, scores: dict[str, float], chosen: dict[str, str]) -> str:
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


def _line(axes: Sequence[Axes], sample: Sample, label: str) -> None:
    grey = np.repeat(np.clip(sample.image, 0, 1)[:, :, None], 3, axis=2)
    missed, invented = sample.label & ~sample.prediction, sample.prediction & ~sample.label
    pale = 0.45 + 0.55 * grey  # the errors are the subject there, the image only the place
    pictures = (
        grey,
        _tinted(grey, sample.label, LABEL, share=0.5),
        _tinted(grey, sample.prediction, PREDICTION, share=0.5),
        _tinted(_tinted(pale, missed, MISSED, share=0.9), invented, INVENTED, share=0.9),
    )
    for place, picture in zip(axes, pictures, strict=True):
        place.imshow(picture, interpolation="nearest")
        place.set_xticks([])
        place.set_yticks([])
        for spine in place.spines.values():
            spine.set_visible(False)
    axes[0].set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center", labelpad=8)


def _tinted(
    picture: NDArray[np.float64], where: Mask, colour: tuple[float, float, float], *, share: float
) -> NDArray[np.float64]:
    tinted = picture.copy()
    tinted[where] = (1 - share) * picture[where] + share * np.asarray(colour)
    return tinted
