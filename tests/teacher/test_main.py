"""`python -m pkgs.teacher` from its command line to its run folder."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml

from pkgs.errormap.columns import TABLES
from pkgs.errormap.compat import CompatConfig
from pkgs.errormap.frozen import load_error_teacher
from pkgs.foundation.progress import read_progress
from pkgs.foundation.run_folder import RunFolder
from pkgs.teacher.__main__ import main
from pkgs.training.loop import Loop
from tests.builders.cem_mitolab import write_cem_mitolab

LIGHT = "vit_error_map_light"
COMPAT = dict.fromkeys(CompatConfig.model_fields, True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cem_mitolab(tmp_path_factory.mktemp("data"), sources=8)


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


def config_for(data: Path, folder: Path, *, steps: int = 6, **more: object) -> Path:
    settings = {
        "data": {
            "root": str(data),
            "size_px": 32,
            "split": {"min_sources": 1, "max_source_share": 0.2, "train": 0.8, "val": 0.1, "test": 0.1},
        },
        "teacher": {"model": {"name": LIGHT}},
        "training": {
            "length": f"{steps} steps",
            "batch_samples": 4,
            "optimiser": {"lr": 0.01},
            "schedule": {"name": "cosine"},
            "validate_every": "3 steps",
            "log_every": "2 steps",
            "best": {"metric": "teacher_loss"},
            "channels_last": True,
            "threads": 1,
        },
        **more,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings))
    return folder / "tiny.yaml"


def words(config: Path, run: Path, *more: str) -> list[str]:
    return ["--config", str(config), "--run-dir", str(run), "--seed", "3", "--device", "cpu", *more]


def weights_of(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "checkpoints" / name / "teacher.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that went from its start to its end."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(words(config_for(data, folder), folder / "run")) == 0
    return folder / "run"


def test_a_run_leaves_what_the_design_says(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert names >= {"config.yaml", "provenance.json", "progress.json", "train.csv", "val.csv", "test.csv"}
    assert {path.name for path in (whole / "predictions").iterdir()} == set(TABLES)
    told = read_progress(RunFolder(whole))
    assert told is not None
    assert (told.step, told.steps) == (6, 6)
    origin = json.loads((whole / "provenance.json").read_text())
    assert origin["data"]["synthetic"] is False
    assert len(origin["data_fingerprint"]) == 16


def test_train_csv_tells_both_kinds_of_masks_apart(whole: Path) -> None:
    for row in rows_of(whole / "train.csv"):
        parts = 0.9 * float(row["teacher_pred"]) + 0.1 * float(row["teacher_gt"])
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-5)


def test_test_scores_come_for_last_and_best_per_source_macro_and_pooled(whole: Path) -> None:
    rows = rows_of(whole / "test.csv")
    assert [row["weights"] for row in rows] == ["last"] * 3 + ["best"] * 3
    assert [row["source"] for row in rows[-2:]] == ["macro", "pooled"]
    assert all(row["teacher_map_bce"] and row["teacher_mae"] and row["step"] for row in rows)
    pooled = next(r for r in rows_of(whole / "predictions/error_prediction.csv") if r["source"] == "pooled")
    assert float(rows[2]["teacher_auroc"]) == float(pooled["auroc"])


def test_its_teacher_can_be_loaded_frozen(whole: Path) -> None:
    teacher, digest = load_error_teacher(whole, name=LIGHT, size_px=32)
    assert len(digest) == 16
    assert (teacher.slope.item(), teacher.offset.item()) == (1, 0)


@pytest.mark.parametrize("at", [2, 4, 6])
def test_a_killed_run_ends_bit_for_bit_as_the_whole_one(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real = Loop.log

    def log(loop: Loop) -> None:
        real(loop)
        if loop.state.step == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "log", log)
    with pytest.raises(KeyboardInterrupt):
        main(words(config_for(data, tmp_path), tmp_path / "run"))
    monkeypatch.undo()
    assert main(words(config_for(data, tmp_path), tmp_path / "run")) == 0
    for name in ("last", "best"):
        assert same(weights_of(tmp_path / "run", name), weights_of(whole, name))
    for name in ("error_prediction.csv", "risk_coverage.csv"):
        first, second = (folder / "predictions" / name for folder in (tmp_path / "run", whole))
        assert first.read_bytes() == second.read_bytes()


def test_a_finished_run_started_again_says_so(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(whole.parent / "tiny.yaml", whole)) == 0
    assert "finished already" in capsys.readouterr().out


def test_micro_batches_give_the_same_gradient(whole: Path, data: Path, tmp_path: Path) -> None:
    config = config_for(data, tmp_path)
    assert main(words(config, tmp_path / "run", "--set", "training.accumulate=2")) == 0
    first, second = (rows_of(run / "train.csv")[0] for run in (whole, tmp_path / "run"))
    for name in ("loss", "teacher_pred", "teacher_gt", "grad_norm"):
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-4)


@pytest.mark.parametrize("name", ["rare_corruption", "score_100", "broadcast", "gt_only_validation", "all"])
def test_every_defect_of_the_pretraining_runs_alone_and_all_run_together(
    data: Path, tmp_path: Path, name: str
) -> None:
    switches = COMPAT if name == "all" else {name: True}
    config = config_for(data, tmp_path, steps=2, compat=switches)
    assert main(words(config, tmp_path / "run")) == 0
    assert rows_of(tmp_path / "run/test.csv")[0]["teacher_loss"]


def test_an_average_of_the_weights_is_judged_too(data: Path, tmp_path: Path) -> None:
    config = config_for(data, tmp_path, steps=2)
    assert main(words(config, tmp_path / "run", "--set", "training.ema_decay=0.9")) == 0
    assert {row["weights"] for row in rows_of(tmp_path / "run/test.csv")} == {"last", "best", "ema"}


def test_a_check_trains_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_for(data, tmp_path)
    assert main(words(config, tmp_path / "run", "--check")) == 0
    assert "config and data are fine" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_a_wrong_setting_is_named_with_the_nearest(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_for(data, tmp_path)
    assert main(words(config, tmp_path / "run", "--set", "teacher.map_los=mae")) == 2
    assert "map_loss" in capsys.readouterr().err
    assert main(words(config, tmp_path / "run", "--set", "training.best.metric=nll")) == 2
    assert "teacher_loss" in capsys.readouterr().err
