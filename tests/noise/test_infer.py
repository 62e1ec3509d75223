"""`python -m pkgs.noise infer` on images of any size."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pkgs.noise import inference
from pkgs.noise.__main__ import main
from tests.builders.aerial import draw_tile, save
from tests.builders.noisy_tiles import noise_settings, write_noisy_tiles, write_settings
from tests.builders.red_roofs import RedRoofs


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = write_settings(folder, noise_settings(write_noisy_tiles(folder / "data", tiles=3)))
    words = ["--config", str(config), "--run-dir", str(folder / "run"), "--seed", "0", "--device", "cpu"]
    assert main(["train", *words, "--set", "training.short_training=true"]) == 0
    return folder / "run"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name, side in (("large", 75), ("small", 20)):
        save(tmp_path / "images" / f"{name}.png", draw_tile(3, side_px=side)[0])
    pixels = np.dstack([draw_tile(3, side_px=40)[0][:33], np.zeros((33, 40), np.uint8)])
    save(tmp_path / "images" / "transparent.png", pixels)
    return tmp_path / "images"


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def words(run: Path, images: Path, out: Path, *more: str) -> list[str]:
    return ["infer", "--run", str(run), "--images", str(images), "--out", str(out), "--device", "cpu", *more]


def test_images_of_any_size_come_back_as_probabilities_masks_and_overlays_of_that_size(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in images.iterdir()}
    assert main(words(run, images, tmp_path / "out", "--tta", "d4")) == 0
    assert "large.png: 75 x 75 px" in capsys.readouterr().out
    for name, shape in (("large", (75, 75)), ("small", (20, 20)), ("transparent", (33, 40))):
        kinds = ("probabilities", "masks", "overlays")
        p, mask, overlay = (pixels_of(tmp_path / "out" / kind / f"{name}.png") for kind in kinds)
        assert p.shape == mask.shape == overlay.shape[:2] == shape
        assert p.max() > 255  # 16 bits
        assert np.array_equal(mask == 255, p.astype(int) >= 32768)
    assert before == {path: path.read_bytes() for path in images.iterdir()}


def test_windows_that_overlap_agree_with_a_network_that_looks_at_single_pixels(
    run: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_network", lambda *_: RedRoofs(2.0))
    assert main(words(run, images, tmp_path / "out", "--threshold", "0.8")) == 0
    mask = pixels_of(tmp_path / "out/masks/large.png") == 255
    colour, truth = draw_tile(3, side_px=75)
    assert np.array_equal(mask, colour[..., 0] > colour[..., 1])
    assert np.array_equal(mask, truth == 1)
    overlay = pixels_of(tmp_path / "out/overlays/large.png")
    changed = (overlay != colour).any(axis=2)
    assert changed.any()
    assert not (changed & ~mask).any()


def test_a_checkpoint_and_several_runs_are_taken_too(run: Path, images: Path, tmp_path: Path) -> None:
    for out, given in (("one", [run]), ("both", [run, run / "checkpoints/best"])):
        more = [word for each in given[1:] for word in ("--run", str(each))]
        assert main(words(given[0], images / "large.png", tmp_path / out, *more)) == 0
    one, both = (pixels_of(tmp_path / out / "probabilities/large.png") for out in ("one", "both"))
    assert np.array_equal(one, both)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"run": "nowhere"}, "no whole checkpoint"),
        ({"images": "nowhere"}, "is neither an image nor a folder"),
        ({"images": "empty"}, "holds no image"),
        ({"out": "."}, "name another folder"),
        ({"more": ["--threshold", "1.5"]}, "a threshold between 0 and 1"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    run: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict, sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    folders = {"run": run, "images": images, "out": tmp_path / "out"}
    folders |= {key: tmp_path / value for key, value in changes.items() if key in folders}
    assert main(words(*folders.values(), *changes.get("more", []))) == 2
    assert sentence in capsys.readouterr().err
