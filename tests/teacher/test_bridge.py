"""The bridge: an error teacher trained on labels with wrong objects, and asked about labels as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pkgs.data.patch_maps import read_maps
from pkgs.errormap.frozen import load_error_teacher
from pkgs.foundation.config import load_config
from pkgs.teacher.__main__ import main
from pkgs.teacher.config import PretrainingConfig
from pkgs.training.loop import Loop
from tests.builders.datacentric import write_datacentric
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


COLOUR: dict[str, Any] = {"layout": "datacentric", "size_px": 32}
FOLDS = {"by": "folds", "folds": 3, "fold": 1}


@pytest.fixture(scope="module")
def aerial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny colour set in the layout of DataCentric, of four tiles with four patches each."""
    tiles = ("tile_7_0", "tile_12_3", "tile_900_5", "tile_1_44")
    return write_datacentric(tmp_path_factory.mktemp("aerial"), tiles=tiles)


def colour_bridge(aerial: Path, folder: Path, *, own: dict[str, Any] | None = None, **more: Any) -> Path:  # noqa: ANN401
    """Return a config on a colour set; `own` adds to its section `data`."""
    teacher = {**BRIDGE["teacher"], "model": {"name": UNET, "colours": "datacentric"}}
    path = bridge_for(aerial, folder, **{"teacher": teacher, **more})
    data = {"root": str(aerial), **COLOUR, "split": FOLDS, **(own or {})}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "data": data}))
    return path


def test_colour_images_are_asked_about_in_the_fold_that_trained_nobody(aerial: Path, tmp_path: Path) -> None:
    assert main(words(colour_bridge(aerial, tmp_path), tmp_path / "run")) == 0
    maps = read_maps(tmp_path / "run", "wrong")
    folds = [line.split(",") for line in (aerial / "splits/folds3_seed42.csv").read_text().splitlines()[1:]]
    assert sorted(maps.ids) == sorted(line[0] for line in folds if line[2] == "1")
    assert set(maps.parts) == {"test"}
    teacher, _ = load_error_teacher(tmp_path / "run", name=UNET, size_px=32, image_channels=3)
    assert teacher.state_dict()["network.mean"].shape == (4,)


def test_a_teacher_of_one_set_is_asked_about_the_whole_of_another(
    aerial: Path, data: Path, tmp_path: Path
) -> None:
    clean = write_datacentric(tmp_path / "clean")
    settings: dict[str, Any] = {
        "own": {"root": str(clean), "split": {"by": "patch", "train": 0.5, "val": 0.25, "test": 0.25}},
        "apply": {"data": {"root": str(aerial), **COLOUR}, "weights": "last"},
        "falsify": {"kind": "objects", "without": ["drop"]},
    }
    assert main(words(colour_bridge(aerial, tmp_path, **settings), tmp_path / "run")) == 0
    maps = read_maps(tmp_path / "run", "wrong")
    assert len(maps) == 16
    assert set(maps.parts) == {"test"}


def test_given_labels_are_those_that_lie_there_even_where_the_truth_judges(
    aerial: Path, tmp_path: Path
) -> None:
    for name, own in (("truth", {"test_labels": str(aerial / "training_labels")}), ("noisy", {})):
        folder = tmp_path / name
        assert main(words(colour_bridge(aerial, folder, own=own), folder / "run")) == 0
    first, second = (tmp_path / name / "run" for name in ("truth", "noisy"))
    assert (first / "predictions/wrong.npy").read_bytes() == (second / "predictions/wrong.npy").read_bytes()
    assert (first / "test.csv").read_bytes() != (second / "test.csv").read_bytes()


def test_a_teacher_of_grey_images_is_refused_colours(
    aerial: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = bridge_for(data, tmp_path, apply={"data": {"root": str(aerial), **COLOUR}})
    assert main(words(other, tmp_path / "run")) != 0
    assert "images of datacentric have 3 channels, those of cem_mitolab" in capsys.readouterr().err
    normalised = {**BRIDGE["teacher"], "model": {"name": UNET, "colours": "whu"}}
    assert main(words(bridge_for(data, tmp_path, teacher=normalised), tmp_path / "run")) != 0
    assert "teacher.model.colours normalises R, G, B" in capsys.readouterr().err


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
