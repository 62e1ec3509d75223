"""`python -m pkgs.noise train` from its command line to its run folder."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image

from pkgs.data.patch_maps import PROBABILITY, read_maps
from pkgs.noise.__main__ import main
from pkgs.training.loop import Loop
from tests.builders.noisy_tiles import noise_settings, write_noisy_tiles, write_settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noisy_tiles(tmp_path_factory.mktemp("data"))


def words(config: Path, run: Path, *more: str) -> list[str]:
    return ["train", "--config", str(config), "--run-dir", str(run), "--seed", "0", "--device", "cpu", *more]


def train(folder: Path, settings: dict[str, Any], *more: str) -> Path:
    assert main(words(write_settings(folder, settings), folder / "run", *more)) == 0
    return folder / "run"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def weights_of(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "checkpoints" / name / "student.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="module")
def teacher(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run on clean masks."""
    return train(
        tmp_path_factory.mktemp("teacher"), noise_settings(data, clean_labels="", loss={"name": "sce"})
    )


def student_settings(data: Path, teacher: Path, **more: object) -> dict[str, Any]:
    return noise_settings(data, distillation={"weight": 0.2, "start": str(teacher)}, **more)


@pytest.fixture(scope="module")
def student(data: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("student"), student_settings(data, teacher))


def test_a_student_leaves_tables_weights_and_maps_of_the_fold_it_did_not_see(student: Path) -> None:
    maps = read_maps(student, PROBABILITY)
    assert {id_.rsplit("_", 2)[0] for id_ in maps.ids} == {"t_1_0", "t_4_0"}
    assert set(maps.parts) == {"test"}
    assert maps.sides == (32, 32)
    assert {row["weights"] for row in rows_of(student / "test.csv")} == {"last", "best", "threshold"}


def test_both_terms_of_the_loss_are_logged_apart_and_add_up(student: Path) -> None:
    rows = rows_of(student / "train.csv")
    assert len(rows) == 6
    for row in rows:
        together = 0.2 * float(row["distillation"]) + 0.8 * float(row["sce"])
        assert float(row["loss"]) == pytest.approx(together, rel=1e-4)
        assert float(row["distillation"]) > 0


def test_validations_tell_the_memorisation_curve_and_the_loss(student: Path) -> None:
    rows = rows_of(student / "val.csv")
    assert len(rows) == 3
    assert all(row["iou_noisy"] == row["iou"] and row["iou_clean"] for row in rows)
    assert all(0 < float(row["loss"]) < 5 for row in rows)


def test_the_teacher_is_frozen_told_of_and_saved_nowhere(student: Path, teacher: Path) -> None:
    told = json.loads((student / "provenance.json").read_text())["inputs"]
    assert told.keys() == {"teacher"}
    assert {path.name for path in (student / "checkpoints/last").glob("*.safetensors")} == {
        "student.safetensors"
    }


def test_examples_show_image_label_and_prediction_in_true_colours(student: Path, data: Path) -> None:
    shown = sorted((student / "predictions/examples/step_000004").glob("*.png"))
    assert len(shown) == 2
    picture = np.asarray(Image.open(shown[0]))
    assert picture.shape == (32, 3 * 32 + 2 * 4, 3)
    assert np.array_equal(picture[:, :32], np.asarray(Image.open(data / "image_patches" / shown[0].name)))


def test_without_a_teacher_the_same_command_is_the_control(data: Path, tmp_path: Path) -> None:
    run = train(tmp_path, noise_settings(data, loss={"name": "bce"}))
    rows = rows_of(run / "train.csv")
    assert all(float(row["distillation"]) == 0 for row in rows)
    assert all(row["loss"] == row["bce"] for row in rows)


def test_a_run_killed_at_any_step_ends_bit_for_bit_as_the_whole_one(
    student: Path, teacher: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Loop.log

    def log(loop: Loop[Any]) -> None:
        real(loop)
        if loop.state.step in {3, 5} and not (tmp_path / str(loop.state.step)).exists():
            (tmp_path / str(loop.state.step)).touch()
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "log", log)
    config = write_settings(tmp_path, student_settings(data, teacher))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            main(words(config, tmp_path / "run"))
    assert main(words(config, tmp_path / "run")) == 0
    for name in ("last", "best"):
        assert same(weights_of(tmp_path / "run", name), weights_of(student, name))
    assert np.array_equal(
        read_maps(tmp_path / "run", PROBABILITY).codes, read_maps(student, PROBABILITY).codes
    )


def test_accumulation_changes_no_draw_and_hardly_a_loss(
    student: Path, teacher: Path, data: Path, tmp_path: Path
) -> None:
    run = train(tmp_path, student_settings(data, teacher), "--set", "training.accumulate=2")
    first, again = (rows_of(each / "train.csv")[0] for each in (student, run))
    assert float(first["sce"]) == pytest.approx(float(again["sce"]), rel=0.2)  # norms see half a batch


def test_in_sample_runs_judge_the_patches_that_they_trained_on_and_say_so(data: Path, tmp_path: Path) -> None:
    settings = noise_settings(data)
    settings["data"]["split"] = {"by": "all"}
    maps = read_maps(train(tmp_path, settings), PROBABILITY)
    assert len(maps) == 24
    assert set(maps.parts) == {"train"}


def test_a_run_on_other_sets_is_asked_about_the_patches_of_a_named_one(data: Path, tmp_path: Path) -> None:
    other = write_noisy_tiles(tmp_path / "other", tiles=2)
    asked = {"root": str(other), "layout": "datacentric", "size_px": 32, "cache": {"mode": "disk"}}
    settings = noise_settings(data, apply={"data": asked, "weights": "last"}, output={"tta": "d4"})
    maps = read_maps(train(tmp_path, settings), PROBABILITY)
    assert len(maps) == 8
    assert set(maps.parts) == {"test"}


def test_the_settings_and_checkpoints_are_checked_without_torch(data: Path, tmp_path: Path) -> None:
    settings = student_settings(data, tmp_path / "nobody")
    config = write_settings(tmp_path, settings)
    command = (
        "import sys; from pkgs.noise.__main__ import main; "
        f"code = main({words(config, tmp_path / 'run', '--check')!r}); "
        "print(code, 'torch' in sys.modules)"
    )
    asked = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert asked.stdout.split()[-2:] == ["2", "False"]
    assert "teacher:" in asked.stderr
    assert "has no checkpoint 'best'" in asked.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"distillation": {"weight": 0.2}}, "name its run folder in distillation.start"),
        ({"loss": {"name": "scee"}}, "loss.name"),
        ({"model": {"colours": "train"}, "compat": {"bgr": True}}, "name a set, or give the numbers"),
        ({"apply": {"data": {"root": "x", "size_px": 64}}}, "objects must be as large"),
        ({"output": {"examples_every": "often"}}, "'often' is no duration"),
        ({"model": {"options": {"in_channels": 1}}}, "model.options.in_channels is 1"),
        ({"compat": {"double_sigmoids": True}}, "double_sigmoid"),
    ],
)
def test_settings_that_do_not_fit_are_told_in_sentences(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], sentence: str
) -> None:
    config = write_settings(tmp_path, noise_settings(data, **changes))
    assert main(words(config, tmp_path / "run", "--check")) == 2
    assert sentence in capsys.readouterr().err


def test_augment_none_is_a_word(data: Path, tmp_path: Path) -> None:
    run = train(tmp_path, noise_settings(data, augment="none"), "--set", "training.short_training=true")
    told = yaml.safe_load((run / "config.yaml").read_text())["augment"]
    assert (told["kind"], told["spatial"], told["raw"]) == ("aerial", 0, 0)


@pytest.mark.slow
def test_two_processes_make_the_run_of_one(data: Path, teacher: Path, tmp_path: Path) -> None:
    settings = student_settings(data, teacher, augment="none")
    config = write_settings(tmp_path, settings)
    command = [sys.executable, "-m", "pkgs.noise", *words(config, tmp_path / "run")]
    more = ["--set", "training.parallel=ddp", "--set", "training.processes=2"]
    subprocess.run([*command, *more], check=True, cwd=ROOT, capture_output=True)
    assert len(rows_of(tmp_path / "run/val.csv")) == 3
    assert len(read_maps(tmp_path / "run", PROBABILITY)) == 8
