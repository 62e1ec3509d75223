"""Q1 on images in memory: what each predictor scores, against sums over all pixels."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from pkgs.data.items import IGNORE
from pkgs.data.samples import Batch, Part
from pkgs.errormap.columns import TABLES
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.scores import ErrorScores, judge_teacher, write
from pkgs.losses.error_map import error_share
from pkgs.models.error_teacher import ErrorTeacher
from pkgs.models.output import Output
from tests.builders.parts import write_part

IDS = [f"{source}/{k}" for source in "abc" for k in range(6)]


class Told(nn.Module):
    """A network that says of each pixel what the image shows."""

    def forward(self, image_and_mask: Tensor) -> Output:
        logits = torch.logit(image_and_mask[:, :1], eps=1e-3)
        return Output(logits, image_logits=4.605 * image_and_mask[:, 0].mean(dim=(1, 2)))


def guess(samples: Batch) -> Tensor:
    return torch.full_like(samples.image_BCHW, 0.25)


def part_in(folder: Path, seed: int) -> Part:
    """Return images that show how likely the mask `guess` is wrong there, each image to another degree."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(len(IDS), 1, 1, generator=generator)
    images = (255 * level * torch.rand(len(IDS), 16, 16, generator=generator)).to(torch.uint8)
    labels = (torch.rand(images.shape, generator=generator) < images / 255).to(torch.uint8)
    labels[:, 0] = IGNORE
    return write_part(folder, ids=IDS, images_NHW=images, labels_NHW=labels)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Part, Part]:
    folder = tmp_path_factory.mktemp("parts")
    return part_in(folder / "val", 1), part_in(folder / "test", 2)


def judged(parts: tuple[Part, Part], **more: object) -> ErrorScores:
    return judge_teacher(
        ErrorTeacher(Told()), masks={"own": guess}, val=parts[0], test=parts[1], seed=42, **more
    )


@pytest.fixture(scope="module")
def scores(parts: tuple[Part, Part]) -> ErrorScores:
    return judged(parts)


@pytest.fixture(scope="module")
def pixels(parts: tuple[Part, Part]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return r, t, wrong and the image's number of all seen pixels of test."""
    samples = parts[1].batch(np.arange(len(IDS))).to(torch.device("cpu"))
    seen = samples.label_BHW != IGNORE
    r = torch.sigmoid(torch.logit(samples.image_BCHW, eps=1e-3))[:, 0][seen]
    t = error_share(guess(samples), samples.label_BHW)[:, 0][seen]
    image = torch.arange(len(IDS)).view(-1, 1, 1).expand_as(seen)[seen]
    return r.double().numpy(), t.double().numpy(), (samples.label_BHW == 1)[seen].numpy(), image.numpy()


def test_errors_per_pixel_are_those_over_all_seen_pixels(
    scores: ErrorScores, pixels: tuple[np.ndarray, ...]
) -> None:
    r, t, wrong, _ = pixels
    row = scores.pooled("own")
    assert (row["images"], row["pixels"]) == (18, 18 * 15 * 16)
    assert row["mae"] == pytest.approx(np.abs(r - t).mean())
    assert row["bias"] == pytest.approx(r.mean() - t.mean())
    assert (row["mean_predicted"], row["mean_real"]) == pytest.approx((r.mean(), t.mean()))
    line = stats.linregress(r, t)
    assert (row["slope"], row["pearson_pixel"]) == pytest.approx((line.slope, line.rvalue), rel=1e-6)
    assert row["spearman_pixel"] == pytest.approx(
        stats.spearmanr(r, t).statistic, abs=0.03
    )  # 200 of 240 each
    assert row["auroc"] == pytest.approx(roc_auc_score(wrong, r), abs=1e-3)


def test_errors_per_image_are_means_of_their_pixels(
    scores: ErrorScores, pixels: tuple[np.ndarray, ...]
) -> None:
    r, t, _, image = pixels
    predicted, real = (np.bincount(image, weights=v) / np.bincount(image) for v in (r, t))
    row = scores.pooled("own")
    assert row["spearman_image"] == pytest.approx(stats.spearmanr(predicted, real).statistic)
    assert row["pearson_image"] == pytest.approx(stats.pearsonr(predicted, real).statistic, abs=1e-6)
    listed = [row for row in scores.tables["error_images.csv"] if row["predictor"] == "teacher"]
    assert [row["sample"] for row in listed] == IDS
    assert [row["predicted"] for row in listed] == pytest.approx(predicted)


def test_a_teacher_that_knows_more_beats_confidence_and_the_combination_keeps_it(scores: ErrorScores) -> None:
    teacher, own, both = (scores.pooled("own", who) for who in ("teacher", "own_confidence", "combined"))
    assert own["auroc"] == 0.5  # p is the same everywhere
    assert teacher["auroc"] > 0.7
    assert both["auroc"] == pytest.approx(teacher["auroc"], abs=2e-3)
    assert both["aurc"] < own["aurc"]
    assert teacher["aurc_excess"] > 0


def test_constants_are_empty_where_a_constant_can_say_nothing(scores: ErrorScores) -> None:
    mean, median = (scores.pooled("own", f"constant_{name}") for name in ("mean", "median"))
    for row in (mean, median):
        assert (
            not {"slope", "pearson_image", "spearman_image", "spearman_pixel", "auroc", "aurc"} & row.keys()
        )
    assert abs(mean["bias"]) < abs(median["bias"])
    assert median["mae"] < mean["mae"]


def test_every_source_is_scored_and_told_for_the_paired_interval(scores: ErrorScores) -> None:
    rows = [r for r in scores.tables["error_prediction.csv"] if r["predictor"] == "combined"]
    assert [row["source"] for row in rows] == ["a", "b", "c", "pooled"]
    assert sum(row["pixels"] for row in rows[:3]) == rows[3]["pixels"]
    told = {(r["predictor"], r["source"]): r for r in scores.tables["error_sources.csv"]}
    assert len(told) == 3 * 3
    assert told["combined", "b"]["aurc"] == rows[1]["aurc"]


def test_the_curve_of_r_against_t_has_15_bins_that_hold_all_pixels(
    scores: ErrorScores, pixels: tuple[np.ndarray, ...]
) -> None:
    rows = [row for row in scores.tables["error_reliability.csv"] if row["predictor"] == "teacher"]
    assert [row["bin"] for row in rows] == list(range(15))
    assert sum(row["count"] for row in rows) == len(pixels[0])
    assert sum(row["sum_t"] for row in rows) == pytest.approx(pixels[1].sum())


def test_risk_and_coverage_are_told_of_all_who_rank_and_of_the_oracle(scores: ErrorScores) -> None:
    rows = scores.tables["risk_coverage.csv"]
    assert {row["predictor"] for row in rows} == {"teacher", "own_confidence", "combined", "oracle"}
    full = [row["risk"] for row in rows if row["coverage"] == 1.0]
    assert full == pytest.approx([full[0]] * 4)


def test_neither_batches_nor_a_second_time_change_anything_but_rounding(
    parts: tuple[Part, Part], scores: ErrorScores
) -> None:
    assert judged(parts) == scores
    other = judged(parts, batch=5).pooled("own", "combined")
    first = scores.pooled("own", "combined")
    assert [other[key] for key in ("mae", "aurc", "spearman_pixel")] == pytest.approx(
        [first[key] for key in ("mae", "aurc", "spearman_pixel")], rel=1e-6
    )


def test_it_is_written_as_the_report_reads_it(scores: ErrorScores, tmp_path: Path) -> None:
    write({"last": scores, "best": scores}, tmp_path / "predictions")
    for name, columns in TABLES.items():
        with (tmp_path / "predictions" / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == columns
        assert {row["weights"] for row in rows} == {"last", "best"}
        assert "nan" not in {cell for row in rows for cell in row.values()}


def test_a_teacher_of_one_number_is_read_in_nats(parts: tuple[Part, Part]) -> None:
    told = judged(parts, compat=CompatConfig(score_100=True)).pooled("own")
    mean = (parts[1].batch(np.arange(18)).image_BCHW.float() / 255).mean().item()
    assert told["mean_predicted"] == pytest.approx(mean, rel=1e-3)
    assert told["spearman_image"] > 0.8


def test_under_the_switch_the_teacher_sees_logits(parts: tuple[Part, Part]) -> None:
    seen: list[float] = []

    class Looks(nn.Module):
        def forward(self, image_and_mask: Tensor) -> Output:
            seen.append(image_and_mask[:, 1].min().item())
            return Output(image_and_mask[:, :1], image_logits=image_and_mask[:, 0, 0, 0])

    for compat in (CompatConfig(), CompatConfig(logits_to_teacher=True)):
        judge_teacher(
            ErrorTeacher(Looks()), masks={"own": guess}, val=parts[0], test=parts[1], seed=1, compat=compat
        )
    assert min(seen) == pytest.approx(math.log(1 / 3))
    assert seen[0] == 0.0  # ignored pixels


def test_the_teacher_is_left_in_its_mode_and_a_stop_is_asked_for_between_batches(
    parts: tuple[Part, Part],
) -> None:
    teacher, asked = ErrorTeacher(Told()).train(), []
    judge_teacher(
        teacher,
        masks={"own": guess},
        val=parts[0],
        test=parts[1],
        seed=1,
        check=lambda: asked.append(1),
        batch=9,
    )
    assert teacher.training
    assert len(asked) == 4


def test_a_test_set_without_a_pixel_is_refused(parts: tuple[Part, Part]) -> None:
    with pytest.raises(ValueError, match="no pixel to judge"):
        judge_teacher(
            ErrorTeacher(Told()), masks={"own": guess}, val=parts[0], test=parts[1].between(range(0)), seed=1
        )
