"""The bridge: an error teacher trained on labels with wrong objects, and asked about labels as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pkgs.data.patch_maps import read_maps
from pkgs.errormap.frozen import load_error_teacher
from pkgs.foundation.config import load_config
from pkgs.teacher.__main__ import main
from pkgs.teacher.config import PretrainingConfig
from pkgs.training.loop import Loop
from tests.teacher.test_main import (
    config_for,
    data,
    own_signals_and_threads,
    rows_of,
    same,
    weights_of,
    words,
)

__all__ = ["data", "own_signals_and_threads"]
UNET = "unet_error_map_light"
BRIDGE: dict[str, Any] = {
    "teacher": {"model": {"name": UNET}, "weight": 1, "image_weight": 0},
    "falsify": {"kind": "objects"},
    "augment": {"kind": "aerial", "spatial": 0.5},
    "recalibrate": True,
    "apply": {},
}


def bridge_for(data: Path, folder: Path, **more: Any) -> Path:  # noqa: ANN401 - settings
    return config_for(data, folder, **{**BRIDGE, **more})


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that went from its start to its end."""
    folder = tmp_path_factory.mktemp("bridge")
    assert main(words(bridge_for(data, folder), folder / "run")) == 0
    return folder / "run"


def test_a_run_leaves_the_chance_that_each_given_label_is_wrong(whole: Path, data: Path) -> None:
    maps = read_maps(whole, "wrong")
    split = (data / "splits/source_seed42.csv").read_text().splitlines()[1:]
    tested = {line.split(",")[0]: line.split(",")[1] for line in split if line.split(",")[2] == "test"}
    assert dict(zip(maps.ids, maps.groups, strict=True)) == tested
    assert set(maps.parts) == {"test"}
    chance = maps.values(np.arange(len(maps)))
    assert chance.shape[1:] == (32, 32)
    assert 0 < chance.mean() < 0.5


def test_only_the_masks_that_were_drawn_are_learned_from(whole: Path) -> None:
    for row in rows_of(whole / "train.csv"):
        assert float(row["loss"]) == float(row["teacher_pred"])
        assert row["teacher_gt"] == ""


def test_it_is_recalibrated_and_judged_so(whole: Path) -> None:
    teacher, _ = load_error_teacher(whole, name=UNET, size_px=32)
    assert (teacher.slope.item(), teacher.offset.item()) != (1, 0)
    pooled = next(row for row in rows_of(whole / "test.csv") if row["source"] == "pooled")
    assert float(pooled["teacher_auroc"]) > 0
    assert json.loads((whole / "provenance.json").read_text())["data"]["synthetic"] is False


@pytest.mark.parametrize("at", [2, 6])
def test_a_killed_bridge_ends_bit_for_bit_as_the_whole_one(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real = Loop.log

    def log(loop: Loop) -> None:
        real(loop)
        if loop.state.step == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "log", log)
    with pytest.raises(KeyboardInterrupt):
        main(words(bridge_for(data, tmp_path), tmp_path / "run"))
    monkeypatch.undo()
    assert main(words(bridge_for(data, tmp_path), tmp_path / "run")) == 0
    assert same(weights_of(tmp_path / "run"), weights_of(whole))
    for name in ("wrong.npy", "wrong.csv", "error_prediction.csv"):
        first, second = (folder / "predictions" / name for folder in (tmp_path / "run", whole))
        assert first.read_bytes() == second.read_bytes()


def test_masks_with_wrong_objects_are_learned(data: Path, tmp_path: Path) -> None:
    config = bridge_for(data, tmp_path, steps=60, augment={"spatial": 0, "raw": 0}, apply=None)
    assert main(words(config, tmp_path / "run", "--set", "training.log_every=10 steps")) == 0
    losses = [float(row["loss"]) for row in rows_of(tmp_path / "run/train.csv")]
    assert losses[-1] < 0.8 * losses[0]
    assert not list((tmp_path / "run/predictions").glob("wrong.*"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"teacher": {"weight": 0.9}}, "share of wrong masks is falsify.p, so write teacher.weight: 1"),
        ({"compat": {"rare_corruption": True}}, "choose falsify.kind: sound"),
        ({"compat": {"reference_augment": True}}, "choose augment.kind: sections"),
        ({"compat": {"score_100": True}}, "has no map; leave out apply and recalibrate"),
        ({"apply": {"data": {"root": "there", "size_px": 64}}}, "apply.data.size_px is 64, data.size_px 32"),
        ({"falsify": {"kind": "objects", "without": ["melt"]}}, "falsify.without.0.*'drop'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, more: dict[str, Any], sentence: str
) -> None:
    config = bridge_for(tmp_path, tmp_path, **more)
    with pytest.raises(ValueError, match=sentence):
        load_config(PretrainingConfig, config)


def test_a_check_also_looks_at_the_set_that_it_will_be_applied_to(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = bridge_for(data, tmp_path, apply={"data": {"root": str(tmp_path / "absent"), "size_px": 32}})
    assert main(words(config, tmp_path / "run", "--check")) != 0
    assert "absent" in capsys.readouterr().err
