"""The commands that make data sets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tifffile
from typer.testing import CliRunner

from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.whole_folder import digest_tree
from tests.builders.image_folder import write_image_folder
from tests.builders.whu import write_whu
from utility.prepare_data import app

ISBI = Path(__file__).parents[2].parent / "shared" / "data" / "isbi2012"


def ask(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_a_folder_is_brought_into_the_layout_and_a_second_call_says_so(tmp_path: Path) -> None:
    images, masks = write_image_folder(tmp_path / "raw")
    words = ("folder", "--images", images, "--masks", masks, "--out", tmp_path / "set", "--group-blocks", "4")
    code, text = ask(*words)
    assert code == 0
    assert "built: 9 labelled images, foreground share 0.1" in text
    digest = digest_tree(tmp_path / "set")
    assert "was there already" in ask(*words)[1]
    assert digest_tree(tmp_path / "set") == digest


def test_bad_input_is_a_sentence_and_exit_code_two(tmp_path: Path) -> None:
    code, text = ask("folder", "--images", tmp_path / "no", "--masks", tmp_path, "--out", tmp_path / "set")
    assert code == 2
    assert "--images" in text
    assert "is not a folder" in text
    assert "Traceback" not in text


def test_an_unknown_size_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    code, text = ask("cem_phantom", "--out", tmp_path / "set", "--size", "63")
    assert code == 2
    assert "Known: 128, 224, 64, 96, demo" in text


def test_a_killed_generation_leaves_no_set_behind(tmp_path: Path) -> None:
    out = tmp_path / "set"
    command = [sys.executable, "-m", "utility.prepare_data", "cem_phantom", "--out", str(out)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **quiet)
    draft = tmp_path / ".set.draft"
    deadline = time.monotonic() + 30
    while len(list(draft.rglob("*.tif*"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert draft.exists()
    assert not out.exists()


@pytest.mark.slow
def test_the_demo_is_the_same_twice_and_has_what_is_promised(tmp_path: Path) -> None:
    assert ask("cem_phantom", "--out", tmp_path / "a", "--size", "demo", "--seed", "0")[0] == 0
    assert ask("cem_phantom", "--out", tmp_path / "b", "--workers", "1")[0] == 0
    assert digest_tree(tmp_path / "a") == digest_tree(tmp_path / "b")
    mark = json.loads((tmp_path / "a/dataset.json").read_text())
    assert (mark["images"], mark["pool_images"], mark["synthetic"]) == (480, 2400, True)
    assert len(CemMitoLab().samples(tmp_path / "a")) == 480


@pytest.mark.skipif(not ISBI.exists(), reason="the ISBI 2012 images are not beside the project")
def test_real_sections_are_tiled_in_blocks(tmp_path: Path) -> None:
    words = ("--foreground", "0", "--tile", "256", "--out", tmp_path / "isbi")
    assert ask("folder", "--images", ISBI / "images", "--masks", ISBI / "masks", *words)[0] == 0
    samples = CemMitoLab().samples(tmp_path / "isbi")
    assert len(samples) == 100
    assert len({sample.group for sample in samples}) == 6
    assert tifffile.imread(samples[0].files["image"]).shape == (256, 256)


def test_a_downloaded_set_is_checked_under_the_name_of_its_layout(tmp_path: Path) -> None:
    root = write_whu(tmp_path / "whu")
    before = digest_tree(root)
    code, text = ask("whu", "--root", root)
    assert code == 0
    assert "9 samples in 9 groups (3 test, 3 train, 3 val)." in text
    assert digest_tree(root) == before


def test_a_set_with_faults_names_them_all_and_ends_with_code_two(tmp_path: Path) -> None:
    root = write_whu(tmp_path / "whu")
    for number in (0, 1):
        path = root / f"train/Image/{number}.png"
        path.write_bytes(path.read_bytes()[:100])
    code, text = ask("whu", "--root", root)
    assert code == 2
    assert text.count("cannot be decoded") == 2
    (root / "val/Mask/2.png").unlink()
    code, text = ask("whu", "--root", root)
    assert code == 2
    assert "1 files without a partner: 2 (no mask)" in text


def test_an_aerial_set_is_built_once_told_and_found_whole(tmp_path: Path) -> None:
    words = ("alabama_phantom", "--out", tmp_path / "set", "--workers", "1")
    code, text = ask(*words)
    assert code == 0
    assert "built: 60 labelled images, foreground share 0.0" in text
    assert "empty share 0." in text
    digest = digest_tree(tmp_path / "set")
    assert "was there already" in ask(*words)[1]
    assert digest_tree(tmp_path / "set") == digest
    assert ask("alabama", "--root", tmp_path / "set")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--noise-rate", "0.8"), "lower clean_cells to at most 0.2"),
        (("--shares", "rotat=1"), "Did you mean 'rotate'?"),
        (("--shares", "rotate=.5"), "must sum to 1, got 0.5"),
        (("--shares", "rotate"), "is not of the form rotate=.6"),
        (("--tile-shift", "2"), "tile_shift"),
        (("--size", "63"), "Known: 128, 256, 64, 96, demo, full"),
    ],
)
def test_noise_that_cannot_be_is_a_sentence_and_writes_nothing(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    code, text = ask("datacentric_phantom", "--out", tmp_path / "set", *words)
    assert code == 2
    assert told in text
    assert "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_noise_settings_reach_the_set_and_its_mark(tmp_path: Path) -> None:
    words = ("--shares", "drop=.5,add=.5", "--noise-rate", ".5", "--layout", "later", "--alpha")
    code, text = ask("datacentric_phantom", "--out", tmp_path / "set", *words)
    mark = json.loads((tmp_path / "set/dataset.json").read_text())
    assert code == 0
    assert "mean noise 0." in text
    assert mark["shares"] == {"rotate": 0, "shift": 0, "drop": 0.5, "resize": 0, "add": 0.5}
    assert (mark["noise_rate"], mark["layout"], mark["alpha"]) == (0.5, "later", True)
    header = (tmp_path / "set/truth/truth.csv").read_text().splitlines()[0]
    assert header == "imageid,noise,objects,hits_rotate,hits_shift,hits_drop,hits_resize,hits_add"
    assert len(list((tmp_path / "set/image_patches").iterdir())) == 256
