"""`python -m pkgs.student` on colour images: folds, clean masks for test, a list of who may train."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pkgs.models.normalised import Normalised
from pkgs.student.__main__ import main
from tests.builders.aerial import draw_tile, save
from tests.builders.cem_mitolab import write_cem_mitolab
from utility.models import get_model

TILES = 6


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("noisy")
    for tile in range(TILES):
        for place, (row, column) in enumerate(((0, 0), (0, 26), (26, 0), (26, 26))):
            colour, mask = draw_tile(50 * tile + place)
            name = f"t_{tile}_0_{row}_{column}.png"
            save(root / "image_patches" / name, colour)
            save(root / "noisy_labels" / name, np.roll(mask, 5, axis=1))
            save(root / "clean_labels" / name, mask)
    (root / "keep.txt").write_text("".join(f"t_{tile}_0_0_0\nt_{tile}_0_26_26\n" for tile in range(TILES)))
    return root


def config_for(data: Path, folder: Path, **more: object) -> Path:
    settings = {
        "data": {
            "root": str(data),
            "layout": "datacentric",
            "size_px": 32,
            "split": {"by": "folds", "folds": 3},
            "test_labels": str(data / "clean_labels"),
            "keep": str(data / "keep.txt"),
            "cache": {"folder": str(data / "cache")},
        },
        "model": {"name": "nrn_rsseg", "options": {"base": 8}, "colours": "datacentric"},
        "training": {
            "length": "4 steps",
            "batch_samples": 4,
            "validate_every": "2 steps",
            "threads": 1,
        },
        "output": {"samples": 2},
        **more,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings))
    return folder / "tiny.yaml"


def words(config: Path, run: Path, *more: str) -> list[str]:
    return ["--config", str(config), "--run-dir", str(run), "--seed", "0", "--device", "cpu", *more]


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert main(words(config_for(data, folder), folder / "seed_0")) == 0
    return folder / "seed_0"


def test_a_colour_run_trains_and_is_judged_on_a_fold(run: Path) -> None:
    with (run / "test.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["weights"] == "last"]
    assert [row["source"] for row in rows] == ["t_1_0", "t_4_0", "macro", "pooled"]
    assert json.loads((run / "provenance.json").read_text())["data"]["split"] == "folds3_seed42.csv"


def test_the_masks_of_test_are_the_clean_ones(run: Path, data: Path) -> None:
    files = sorted((run / "predictions").glob("*.npz"))
    assert len(files) == 2
    for file in files:
        with np.load(file) as stored:
            clean = np.asarray(Image.open(data / f"clean_labels/{stored['sample']}.png"))
            assert np.array_equal(stored["label"], clean)
            colours = np.asarray(Image.open(data / f"image_patches/{stored['sample']}.png"), np.float32) / 255
            assert np.array_equal(stored["colours"], colours)
            assert np.abs(stored["image"] - colours.mean(axis=2)).max() < 1e-6


def test_the_run_comes_back_through_get_model_with_its_normalisation(run: Path, data: Path) -> None:
    model = get_model(run)
    assert isinstance(model.network, Normalised)
    image = model.preprocess(data / "image_patches/t_0_0_0_0.png")
    assert image.shape == (1, 3, 32, 32)
    assert 0 <= image.min() <= image.max() <= 1
    assert model(image).shape == (1, 1, 32, 32)
    same = model.preprocess(draw_tile(0)[0])
    assert torch.equal(image, same)


def test_grey_networks_and_colour_settings_are_told_apart(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = {"name": "unet2d", "options": {"in_channels": 1}}
    config = config_for(data, tmp_path / "grey", model=grey)
    assert main(words(config, tmp_path / "grey/run", "--check")) != 0
    assert "model.options.in_channels is 1, and the images of data.layout have 3" in capsys.readouterr().err
    cem = write_cem_mitolab(tmp_path / "cem", sources=8)
    split = {"min_sources": 1, "max_source_share": 0.2, "train": 0.8, "val": 0.1, "test": 0.1}
    config = config_for(data, tmp_path / "colour")
    settings = yaml.safe_load(config.read_text())
    settings["data"] = {"root": str(cem), "size_px": 32, "split": split}
    config.write_text(yaml.safe_dump(settings))
    assert main(words(config, tmp_path / "colour/run", "--check")) != 0
    assert "the images of data.layout have 1 channel. Leave model.colours out" in capsys.readouterr().err


def test_a_network_without_options_takes_colours_too(data: Path, tmp_path: Path) -> None:
    config = config_for(data, tmp_path, model={"name": "unet2d", "colours": "train"})
    assert main(words(config, tmp_path / "run")) == 0
    model = get_model(tmp_path / "run")
    assert isinstance(model.network, Normalised)
    assert 60 < model.network.mean[0] < 90  # mostly ground of (60, 120, 50)
    assert model.image_shape == (3, 32, 32)
    assert model(model.preprocess(data / "image_patches/t_0_0_0_0.png")).shape == (1, 1, 32, 32)
