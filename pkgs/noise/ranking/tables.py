"""ranking.csv, scores.csv, keep.txt, keep/ and noise_rate.json, as text for whoever comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pkgs.foundation.files import write_json, write_whole
from pkgs.foundation.seeds import Purpose, derive
from pkgs.noise import cut
from pkgs.noise.ranking.marks import kept
from pkgs.noise.ranking.patches import Patches, Places
from pkgs.noise.ranking.truth import Truth
from pkgs.noise.scores import COMBINED, Scores
from pkgs.training.tables import Cell, render

RANKING: Final = "ranking.csv"
SCORES: Final = "scores.csv"
KEEP: Final = "keep.txt"
HALVES: Final = "keep"
NOISE_RATE: Final = "noise_rate.json"
WHO: Final = ("imageid", "sample", "group", "fold", "rank", "p_noisy")
RANDOM_SEEDS: Final = 5


@dataclass(frozen=True)
class Ranked:
    """All that is known of the patches in the end."""

    patches: Patches
    columns: Mapping[str, Scores]
    """Scores by name, in the order of the table."""
    order: Places
    """Places from least to most noisy."""
    rate: cut.NoiseRate
    noisy_above: float
    cleanest_iou: float
    """Median of `iou` over the cleanest patches."""
    said: Sequence[str]
    """A reviewer's mark of each patch, or empty."""
    truth: Truth | None


def write_tables(folder: Path, ranked: Ranked) -> None:
    """Write all tables into `folder`. Without truth nothing in them speaks of it."""
    names, ids = ranked.patches.names, ranked.patches.ids
    ranking: list[dict[str, Cell]] = [
        {"id": rank, "imageid": names[place]} for rank, place in enumerate(ranked.order)
    ]
    write_whole(folder / RANKING, render(("id", "imageid"), ranking))
    write_whole(folder / KEEP, _lines(ids, np.flatnonzero(kept(ranked.rate.noisy, ranked.said))))
    (folder / HALVES).mkdir()
    for name, places in _halves(ranked).items():
        write_whole(folder / HALVES / f"{name}.txt", _lines(ids, places))
    write_json(folder / NOISE_RATE, noise_rate(ranked))
    rows = list(_rows(ranked))
    write_whole(folder / SCORES, render(list(rows[0]), rows))


def noise_rate(ranked: Ranked) -> dict[str, object]:
    """Return what noise_rate.json says."""
    rate, truth = ranked.rate, ranked.truth
    told: dict[str, object] = {
        "noisy_above": ranked.noisy_above,
        "estimate": round(rate.estimate, 6),
        "interval": [round(each, 6) for each in rate.interval],
        "level": cut.LEVEL,
        "resampled_groups": len(set(ranked.patches.groups)),
        "resamples": cut.RESAMPLES,
        "patches": len(ranked.patches),
        "cut": round(float(rate.noisy.mean()), 6),
        "scores": [name for name in COMBINED if name in ranked.columns],
        "cleanest_iou": round(ranked.cleanest_iou, 6),
        "assumption": cut.ASSUMPTION,
    }
    warning = cut.doubtful(ranked.cleanest_iou, noisy_above=ranked.noisy_above)
    if warning is not None:
        told["warning"] = warning
    if truth is not None:
        told["true"] = round(float((truth.noise > ranked.noisy_above).mean()), 6)
    return told


def _rows(ranked: Ranked) -> Iterable[dict[str, Cell]]:
    patches, truth = ranked.patches, ranked.truth
    rank_of = np.empty(len(patches), np.int64)
    rank_of[ranked.order] = np.arange(len(patches))
    for place, (sample, name) in enumerate(zip(patches.samples, patches.names, strict=True)):
        who = (name, sample.id, sample.group, patches.folds[place], int(rank_of[place]))
        row: dict[str, Cell] = dict(zip(WHO, (*who, float(ranked.rate.p_noisy[place])), strict=True))
        row |= {column: float(values[place]) for column, values in ranked.columns.items()}
        if truth is not None:
            row["true_noise"] = float(truth.noise[place])
            row |= {column: counts[place] for column, counts in truth.counts.items()}
        if any(ranked.said):
            row["mark"] = ranked.said[place]
        yield row


def _halves(ranked: Ranked) -> dict[str, Places]:
    """Return half of the patches of each fold, chosen in several ways."""
    folds = np.array(ranked.patches.folds)
    halves = {"cleanest_50": half(ranked.order, folds)}
    if ranked.truth is not None:
        by_truth = sorted(
            range(len(folds)), key=lambda place: (truth_of(ranked)[place], ranked.patches.names[place])
        )
        halves["oracle_50"] = half(np.array(by_truth), folds)
    for seed in range(RANDOM_SEEDS):
        rng = np.random.default_rng(derive(seed, Purpose.SPLIT, "random half"))
        halves[f"random_50_seed_{seed}"] = half(rng.permutation(len(folds)), folds)
    return halves


def truth_of(ranked: Ranked) -> Scores:
    """Return the true noise of each patch, of which the caller knows that somebody knows it."""
    assert ranked.truth is not None
    return ranked.truth.noise


def half(order: Places, folds: NDArray[np.int64]) -> Places:
    """Return the places of the first half (rounded down) of each fold in `order`, in rising order."""
    in_order = folds[order]
    chosen = [order[in_order == fold][: int((folds == fold).sum()) // 2] for fold in np.unique(folds)]
    return np.sort(np.concatenate(chosen))


def _lines(ids: Sequence[str], places: Places) -> str:
    return "".join(f"{ids[place]}\n" for place in places)
