"""The exploitation monitor: what it measures, that it looks twice without harm, and what it keeps."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pkgs.data.pool import Pool
from pkgs.data.samples import Batch, Images, Part
from pkgs.ensemble.committee import Committee
from pkgs.errormap.compat import CompatConfig
from pkgs.models.error_teacher import ErrorPrediction
from pkgs.student.expansion_config import ExpansionConfig
from pkgs.student.monitor import Monitor, Watched
from pkgs.training.ranks import Ranks
from tests.builders.ranks import in_ranks

SIDE = 4


@dataclass(frozen=True)
class Pictures:
    """A part of equal images, dark on the left; the label says that the left half is foreground."""

    count: int
    labelled: bool

    def __len__(self) -> int:
        return self.count

    def batch(self, places: np.ndarray) -> Batch | Images:
        image = torch.zeros(len(places), 1, SIDE, SIDE)
        image[..., : SIDE // 2] = 1
        ids = tuple(map(str, places))
        if not self.labelled:
            return Images(image, ids)
        label = (image[:, 0] == 1).to(torch.uint8)
        label[:, 0] = 255
        return Batch(image, label, ids)


class Grey(nn.Module):
    """A student whose logits are b + 4 x - 2; with b = 0 it is right everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.bias + 4 * image - 2


class Believer(nn.Module):
    """A teacher that sees the same share of error everywhere, and less of it the brighter the mask."""

    def __init__(self, logit: float = -3.0) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit))

    def forward(self, image: Tensor, mask: Tensor) -> ErrorPrediction:
        map_B1HW = self.logit + 0 * image
        return ErrorPrediction(
            map_B1HW - mask.mean(dim=(1, 2, 3), keepdim=True), map_B1HW.mean(dim=(1, 2, 3))
        )


def monitor_of(
    folder: Path,
    *,
    teachers: int = 1,
    truth: bool = True,
    ranks: Ranks | None = None,
    compat: CompatConfig | None = None,
    **config: Any,  # noqa: ANN401
) -> tuple[Monitor, Grey]:
    student = Grey()
    folder.mkdir(exist_ok=True, parents=True)
    pool = Pool(
        cast(Any, Pictures(9, labelled=False)), 0, cast(Any, Pictures(9, labelled=True)) if truth else None
    )
    watched = Watched.of(cast(Part, Pictures(7, labelled=True)), pool, count=5, seed=42)
    monitor = Monitor(
        student,
        Committee([Believer(-3.0 - k) for k in range(teachers)]),
        watched=watched,
        config=ExpansionConfig(**config),
        compat=compat or CompatConfig(),
        ranks=ranks or Ranks(torch.device("cpu")),
        batch=2,
        file=folder / "alarms.json",
        check=lambda: None,
        say=lambda _: None,
    )
    return monitor, student


def test_the_cells_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    monitor, student = monitor_of(tmp_path)
    cells = monitor.look(0)
    p = torch.tensor(2.0).sigmoid()
    share = float(-p.log() / 4.605170)  # every pixel is right with chance p
    believed = float(torch.tensor(-3.0 - 0.5).sigmoid())
    assert cells["real_error"] == pytest.approx(share, abs=1e-6)
    assert cells["pool_real_error"] == pytest.approx(share, abs=1e-6)
    assert cells["predicted_error"] == cells["pool_predicted_error"] == pytest.approx(believed, abs=1e-6)
    assert cells["error_gap"] == pytest.approx(share - believed, abs=1e-6)
    assert (cells["pool_foreground"], cells["moved"], cells["gated"]) == (0.5, 0.0, 1.0)
    with torch.no_grad():
        student.bias += 4
    moved = (torch.tensor([2.0, 6.0]).sigmoid() - torch.tensor([-2.0, 2.0]).sigmoid()).mean()
    assert monitor.look(25)["moved"] == pytest.approx(float(moved), abs=1e-6)


def test_what_cannot_be_known_has_no_cell(tmp_path: Path) -> None:
    cells = monitor_of(tmp_path, truth=False)[0].look(0)
    assert not {"pool_real_error", "disagreement"} & set(cells)
    assert monitor_of(tmp_path, teachers=2)[0].look(0)["disagreement"] > 0


def test_the_images_depend_on_the_split_alone() -> None:
    val, pool = cast(Any, Pictures(50, labelled=True)), Pool(cast(Any, Pictures(80, labelled=False)), 0, None)
    first, again = (Watched.of(val, pool, count=6, seed=42) for _ in range(2))
    other = Watched.of(val, pool, count=6, seed=43)
    assert first.val_places.tolist() == again.val_places.tolist() == sorted(set(first.val_places.tolist()))
    assert first.pool_places.tolist() != other.pool_places.tolist()
    assert len(Watched.of(val, pool, count=500, seed=1).val_places) == 50


def exploit(monitor: Monitor, student: Grey, steps: range) -> None:
    for step in steps:
        with torch.no_grad():
            student.bias += 1  # everything becomes foreground, which this teacher likes
        monitor.look(step)


def test_a_student_that_pleases_its_teacher_and_errs_raises_one_alarm(tmp_path: Path) -> None:
    monitor, student = monitor_of(tmp_path)
    monitor.look(0)
    exploit(monitor, student, range(1, 3))
    assert json.loads((tmp_path / "alarms.json").read_text()) == []
    exploit(monitor, student, range(3, 6))
    (alarm,) = json.loads((tmp_path / "alarms.json").read_text())
    assert (alarm["step"], alarm["name"]) == (3, "exploitation")
    assert not monitor.over
    stopping, other = monitor_of(tmp_path / "stop", on_exploit="stop")
    stopping.look(0)
    exploit(stopping, other, range(1, 4))
    assert stopping.over


def test_looking_again_after_a_step_counts_once(tmp_path: Path) -> None:
    monitor, student = monitor_of(tmp_path)
    monitor.look(0)
    with torch.no_grad():
        student.bias += 2
    for _ in range(5):
        monitor.look(1)
    assert monitor.alarms == []


def test_a_resumed_monitor_goes_on_from_its_state(tmp_path: Path) -> None:
    whole, student = monitor_of(tmp_path / "whole")
    whole.look(0)
    exploit(whole, student, range(1, 3))
    buffer = io.BytesIO()
    torch.save(dict(whole.state_dict()), buffer)
    buffer.seek(0)
    resumed, other = monitor_of(tmp_path / "resumed")
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    other.load_state_dict(student.state_dict())
    for monitor, network in ((whole, student), (resumed, other)):
        exploit(monitor, network, range(3, 5))
    assert resumed.state_dict() == whole.state_dict()
    assert resumed.alarms


def test_under_d5_the_raw_number_is_what_is_predicted(tmp_path: Path) -> None:
    monitor, _ = monitor_of(tmp_path, teachers=2, compat=CompatConfig(unanchored_expansion=True))
    assert monitor.look(0)["predicted_error"] == pytest.approx(-3.5)


def test_no_generator_moves_and_modes_stay(tmp_path: Path) -> None:
    monitor, student = monitor_of(tmp_path)
    student.train()
    before = torch.get_rng_state()
    monitor.look(0)
    assert torch.equal(before, torch.get_rng_state())
    assert student.training


def test_two_processes_measure_what_one_does_to_the_bit(tmp_path: Path) -> None:
    def looked(ranks: Ranks) -> dict[str, float]:
        monitor, student = monitor_of(tmp_path / str(ranks.rank), teachers=2, ranks=ranks)
        with torch.no_grad():
            student.bias += 0.3
        return dict(monitor.look(0))

    alone = looked(Ranks(torch.device("cpu")))
    assert in_ranks(tmp_path / "ranks", looked) == [alone, alone]
