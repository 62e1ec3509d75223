"""A rehearsal of the transforms' room: the answer's shape, and that all sides do the same work. No times."""

from __future__ import annotations

import math
import re
import warnings

import pytest
import torch

from benchmarks import training_transforms as room
from pkgs.data.transforms.config import SpatialConfig
from pkgs.data.transforms.spatial import Spatial
from pkgs.foundation.seeds import Purpose


def test_every_contest_has_one_figure_per_repeat() -> None:
    rows = room.measure(repeats=2, quick=True)
    assert [row.name for row in rows] == [
        "transforms_vs_kornia",
        "transforms_vs_monai",
        "transforms3d_vs_monai",
    ]
    assert all(len(row.ours) == 2 and row.unit == "samples/s" and row.higher_is_better for row in rows)
    assert all(len(row.peer) == 2 or row.note.startswith("absent") for row in rows)


def test_an_absent_peer_leaves_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(dimensions: int) -> room.Change:
        raise ModuleNotFoundError(name="kornia")

    monkeypatch.setattr(room, "kornia_change", absent)
    row = room.measure(repeats=1, quick=True)[0]
    assert (row.peer, row.speed_up(), row.note) == ((), None, "absent: kornia")


@pytest.mark.parametrize(
    ("rates", "best"), [({1: 5.0, 2: 3.0}, 1), ({1: 5.0, 2: 5.2}, 1), ({1: 5.0, 2: 8.0}, 2)]
)
def test_each_side_runs_on_the_threads_that_suit_it(
    rates: dict[int, float], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(room, "timed", lambda *_, threads, **__: room.Timed(rates[threads], cpu_ms=1.0))
    assert room.best_threads(lambda _: None, {}, turn_s=0.0) == best


def test_a_side_runs_on_the_threads_asked_for_and_leaves_torch_as_it_was() -> None:
    before, seen = torch.get_num_threads(), []
    room.timed(
        lambda _: seen.append(torch.get_num_threads()), room.batch_of((2, 1, 8, 8)), turn_s=0.0, threads=3
    )
    assert (seen, torch.get_num_threads()) == ([3, 3], before)


def test_the_note_says_threads_and_cpu_time() -> None:
    pytest.importorskip("kornia", reason="kornia is an optional peer")
    note = room.measure(repeats=1, quick=True)[0].note
    assert re.search(r"ours \d+ threads?, [\d.]+ ms of CPU a batch; peer \d+ thread", note)


def ours_turned(batch: room.Batch, degrees: float) -> room.Batch:
    spatial = Spatial(SpatialConfig(rotation_deg=(degrees, degrees), scale=(1.1, 1.1)), room.KINDS)
    sides = tuple(batch["image"].shape[2:])
    return spatial(batch, spatial.draw(0, Purpose.AUGMENT, first=0, batch=len(batch["image"]), sides=sides))


def test_ours_and_kornia_move_images_and_labels_alike() -> None:
    kornia = pytest.importorskip("kornia.augmentation", reason="kornia is an optional peer")
    batch = room.batch_of((2, 1, 33, 33))
    fixed = kornia.RandomAffine(degrees=(30, 30), scale=(1.1, 1.1), padding_mode="reflection", p=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = kornia.AugmentationSequential(fixed, data_keys=["image", "mask"])
        image, label = peer(batch["image"], batch["label"][:, None].float())
    ours = ours_turned(batch, -30)  # the peer counts angles the other way round
    assert (ours["image"] - image).abs().max() < 1e-5
    inside = ours["label"] != 255
    assert (ours["label"][inside] != label[:, 0][inside]).sum() <= 1


def test_ours_and_monai_move_images_and_labels_alike() -> None:
    transforms = pytest.importorskip("monai.transforms", reason="MONAI is a peer")
    batch = room.batch_of((1, 1, 33, 33))
    fixed = {"rotate_params": math.radians(30), "scale_params": (1 / 1.1, 1 / 1.1), "image_only": True}
    image = transforms.Affine(**fixed, mode="bilinear", padding_mode="reflection")(batch["image"][0])
    label = transforms.Affine(**fixed, mode="nearest", padding_mode="zeros")(batch["label"].float())
    ours = ours_turned(batch, -30)  # the peer counts angles the other way round
    assert (ours["image"][0] - torch.as_tensor(image)).abs().max() < 1e-5
    inside = ours["label"] != 255
    assert (ours["label"][inside] != torch.as_tensor(label)[inside]).sum() <= 1
