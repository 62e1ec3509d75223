"""`method: expansion` and `alternating` from their command line to their run folder."""

from __future__ import annotations

import csv
import json
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml

from pkgs.student import monitor
from pkgs.student.__main__ import main
from pkgs.student.teacher_runs import teacher_runs
from pkgs.training.loop import Loop
from tests.builders.cem_1500k import write_cem_1500k
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.builders.joint_runs import write_joint_run
from tests.builders.kills import killed_at

TIMED = {"time_unix_s", "samples_per_s", "attempt"}
Settings = dict[str, Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with labelled data, a pool, and three finished joint runs."""
    folder = tmp_path_factory.mktemp("root")
    write_cem_mitolab(folder / "data", sources=8)
    write_cem_1500k(folder / "pool")
    for seed in (3, 4, 13):
        write_joint_run(folder / f"joint/seed_{seed}", seed=seed)
    return folder


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


def train(root: Path, folder: Path, *more: str, method: str = "expansion", **expansion: object) -> int:
    """Train in `folder`/run; `more` are further words of the command line."""
    joint = str(root / "joint/seed_3")
    start = {"start": joint} if method == "expansion" else {}
    settings: Settings = {
        "method": method,
        "data": {
            "root": str(root / "data"),
            "size_px": 32,
            "split": {"min_sources": 1, "max_source_share": 0.2, "train": 0.8, "val": 0.1, "test": 0.1},
        },
        "pool": {"root": str(root / "pool")},
        "model": {"name": "unet2d"},
        "teacher": {"model": {"name": "vit_error_map_light"}},
        "augment": {"spatial": 0.75, "raw": 0.5},
        "expansion": {
            **start, "teachers": [joint], "monitor_every": 3, "monitor_images": 4, "ema_decay": 0.9,
            "form": "loop", "round_steps": 2, **expansion,
        },
        "training": {
            "length": "8 steps", "batch_samples": 4, "optimiser": {"lr": 0.01}, "validate_every": "4 steps",
            "log_every": "1 steps", "threads": 1,
        },
        "output": {"samples": 1},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings))
    words = ["--config", str(folder / "tiny.yaml"), "--run-dir", str(folder / "run"), "--seed", "3"]
    return main([*words, "--device", "cpu", *more])


def weights_of(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "checkpoints" / name / "student.safetensors")


def same(first: Path, second: Path) -> bool:
    one, other = weights_of(first), weights_of(second)
    return all(torch.equal(one[key], other[key]) for key in one)


def untimed(path: Path) -> list[dict[str, str]]:
    """Return all rows, without what depends on the clock."""
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in TIMED} for row in csv.DictReader(file)]


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the last row of each step, without what depends on the clock."""
    kept = {row["step"]: row for row in untimed(path)}
    return [kept[step] for step in sorted(kept, key=int)]


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an expansion by a committee that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert train(root, folder, teachers=[str(root / "joint/seed_*")]) == 0
    return folder / "run"


def test_a_run_tells_its_terms_its_monitor_and_its_inputs(whole: Path) -> None:
    row = rows_of(whole / "train.csv")[-1]
    assert all(row[name] for name in ("loss", "s", "P", "consistency", "gated", "lambda_t"))
    assert [float(r["lambda_t"]) for r in rows_of(whole / "train.csv")[:3]] == pytest.approx([0, 0.625, 1])
    seen = rows_of(whole / "val.csv")
    assert [row["step"] for row in seen] == ["0", "3", "4", "6", "8"]
    assert all(seen[0][name] for name in ("predicted_error", "real_error", "error_gap", "gated"))
    assert seen[0]["moved"] == "0"
    assert seen[0]["nll"] == seen[0]["pool_real_error"] == ""
    assert float(seen[-1]["moved"]) > 0
    assert float(seen[-1]["disagreement"]) > 0
    assert json.loads((whole / "alarms.json").read_text()) == []
    told = json.loads((whole / "provenance.json").read_text())["inputs"]
    assert set(told) == {"student", "teacher_seed_3", "teacher_seed_4", "teacher_seed_13"}
    with (whole / "test.csv").open() as file:
        assert {row["weights"] for row in csv.DictReader(file)} == {"last", "best", "ema", "threshold"}


@pytest.mark.parametrize("at", [2, 3, 5])
def test_a_committee_run_killed_at_any_step_ends_bit_for_bit_as_the_whole_one(
    root: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real = Loop.log

    def log(loop: Loop[Any]) -> None:
        real(loop)
        if loop.state.step == at:
            loop.save("last")
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "log", log)
    with pytest.raises(KeyboardInterrupt):
        train(root, tmp_path, teachers=[str(root / "joint/seed_*")])
    monkeypatch.undo()
    assert train(root, tmp_path, teachers=[str(root / "joint/seed_*")]) == 0
    assert same(tmp_path / "run", whole)
    for name in ("train.csv", "val.csv"):
        assert rows_of(tmp_path / "run" / name) == rows_of(whole / name)


def test_a_committee_run_killed_with_sigkill_at_random_acts_ends_bit_for_bit_as_the_whole_one(
    root: Path, whole: Path, tmp_path: Path
) -> None:
    def go_on() -> None:
        assert train(root, tmp_path, teachers=[str(root / "joint/seed_*")]) == 0

    chance = random.Random(6)  # noqa: S311 - no secret
    assert sum(killed_at(chance.randrange(10, 80), go_on) for _ in range(4)) > 2
    go_on()
    for name in ("last", "best"):
        files = [run / f"checkpoints/{name}/student.safetensors" for run in (tmp_path / "run", whole)]
        assert files[0].read_bytes() == files[1].read_bytes()
    for table in ("train.csv", "val.csv"):
        assert rows_of(tmp_path / "run" / table) == rows_of(whole / table)
    tested = [untimed(run / "test.csv") for run in (tmp_path / "run", whole)]
    assert tested[0] == tested[1]
    for file in ("predictions/calibration.csv", "alarms.json"):
        assert (tmp_path / "run" / file).read_bytes() == (whole / file).read_bytes()


def test_the_monitor_changes_nothing_of_the_training(root: Path, whole: Path, tmp_path: Path) -> None:
    more = {"monitor_every": 1, "monitor_images": 2}
    assert train(root, tmp_path, teachers=[str(root / "joint/seed_*")], **more) == 0
    assert same(tmp_path / "run", whole)


def test_continued_differs_by_the_teachers_term_alone(root: Path, tmp_path: Path) -> None:
    """Without an effect of the term, through a gate that never opens, both runs are the same to the bit."""
    train(root, tmp_path / "continued", teacher_weight=0.0)
    train(root, tmp_path / "shut", sure=0.5, most_spread=0.0)
    shut, continued = (rows_of(tmp_path / name / "run/train.csv") for name in ("shut", "continued"))
    assert {row["gated"] for row in shut} == {"0"}
    assert [row["s"] for row in shut] == [row["s"] for row in continued]
    assert same(tmp_path / "shut/run", tmp_path / "continued/run")
    assert rows_of(tmp_path / "continued/run/val.csv")[0]["predicted_error"]


def test_the_pool_never_shifts_the_labelled_draws(root: Path, tmp_path: Path) -> None:
    few = write_cem_1500k(tmp_path / "other", sources=2, patches=2)
    train(root, tmp_path / "a", "--set", "training.length=1 steps")
    train(root, tmp_path / "b", "--set", "training.length=1 steps", "--set", f"pool.root={few}")
    first, second = (rows_of(tmp_path / name / "run/train.csv")[0] for name in "ab")
    assert first["s"] == second["s"]
    assert first["consistency"] == second["consistency"] == "0"  # the average is the student yet


@pytest.mark.parametrize(
    "switch", ["unanchored_expansion", "committee_no_grad", "logits_to_teacher", "score_100", "pool_overlap"]
)
@pytest.mark.parametrize("method", ["expansion", pytest.param("alternating", marks=pytest.mark.slow)])
def test_every_switch_runs_alone(root: Path, tmp_path: Path, method: str, switch: str) -> None:
    teachers = [str(root / "joint/seed_*")]
    words = ("--set", f"compat.{switch}=true", "--set", "training.length=4 steps")
    assert train(root, tmp_path, *words, method=method, teachers=teachers, signal="through") == 0


def test_alternating_sees_the_labelled_images_of_the_baseline(root: Path, tmp_path: Path) -> None:
    assert train(root, tmp_path, method="alternating") == 0
    rows = rows_of(tmp_path / "run/train.csv")
    assert [bool(float(row["s"])) for row in rows] == [False, False, True, True] * 2
    assert [bool(float(row["lambda_t"])) for row in rows[1:4]] == [True, False, False]


def test_under_no_grad_alternating_rounds_leave_the_student_as_it_is(root: Path, tmp_path: Path) -> None:
    words = ("--set", "compat.committee_no_grad=true")
    train(root, tmp_path, *words, "--set", "training.length=2 steps", method="alternating")
    row = rows_of(tmp_path / "run/train.csv")[-1]
    assert (row["grad_norm"], bool(float(row["P"]))) == ("0", True)
    assert float(rows_of(tmp_path / "run/val.csv")[-1]["moved"]) == 0


def test_on_exploit_stop_ends_the_run_in_order_judged_and_marked(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "is_exploited", lambda _, later: len(later) >= 2)
    monkeypatch.setattr(monitor, "sentence", lambda *_, **__: "exploited")
    assert train(root, tmp_path, on_exploit="stop", monitor_every=1) == 0
    alarms = json.loads((tmp_path / "run/alarms.json").read_text())
    assert alarms == [{"step": 2, "name": "exploitation", "sentence": "exploited"}]
    assert (tmp_path / "run/checkpoints/last").resolve().name == "last_00000002"
    assert (tmp_path / "run/test.csv").exists()


def test_a_timed_form_is_told_and_kept(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--set", "training.length=1 steps")
    assert train(root, tmp_path, *words, teachers=[str(root / "joint/seed_*")], form="auto") == 0
    form = json.loads((tmp_path / "run/committee.json").read_text())["form"]
    assert f"Committee of 3: {form} (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("expansion", "told"),
    [
        ({"teachers": ["{missing}/seed_*"]}, "names no run folder. Train teachers first"),
        ({"teachers": ["{missing}/seed_1"]}, "has no checkpoint 'last'. Train it first"),
        ({"start": "{missing}/seed_1"}, "student: {missing}/seed_1: has no checkpoint 'last'"),
        ({"teachers": []}, "method expansion needs teachers"),
    ],
)
@pytest.mark.parametrize("check", [(), ("--check",)], ids=["run", "check"])
def test_inputs_that_are_missing_are_told_before_the_first_step(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    expansion: Settings,
    told: str,
    check: tuple[str, ...],
) -> None:
    def filled(value: object) -> object:
        if isinstance(value, list):
            return [filled(one) for one in value]
        return str(value).replace("{missing}", str(tmp_path))

    settings = {name: filled(value) for name, value in expansion.items()}
    assert train(root, tmp_path, *check, **settings) == 2
    assert told.replace("{missing}", str(tmp_path)) in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_pool_that_is_missing_is_told_by_check(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(root, tmp_path, "--check", "--set", f"pool.root={tmp_path}/nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_teacher_of_another_size_is_refused_with_the_shapes(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_joint_run(tmp_path / "joint/seed_3", seed=3, size_px=64)
    assert train(root, tmp_path, teachers=[str(other)]) == 2
    assert "weights of another shape" in capsys.readouterr().err


def test_a_resume_with_retrained_teachers_or_another_pool_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = write_cem_1500k(tmp_path / "pool", sources=2, patches=2)
    teacher = write_joint_run(tmp_path / "joint/seed_3", seed=3)
    more = ("--set", f"pool.root={pool}")

    def leave(loop: Loop[Any]) -> None:
        loop.save("last")
        raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "leave_if_asked", leave)
    with pytest.raises(KeyboardInterrupt):
        train(root, tmp_path, *more, teachers=[str(teacher)])
    monkeypatch.undo()
    (pool / "CEM1500k_unlabelled/cem1.5M/pool_00/roi_0.tiff").unlink()
    assert train(root, tmp_path, *more, teachers=[str(teacher)]) == 2
    assert "the pool holds other images than when the run began" in capsys.readouterr().err
    shutil.rmtree(teacher)
    write_joint_run(teacher, seed=5)
    assert train(root, tmp_path, *more, teachers=[str(teacher)]) == 2
    assert "its inputs have changed since it began (teacher was" in capsys.readouterr().err


def test_folders_that_a_rerun_moved_away_are_no_teachers(tmp_path: Path) -> None:
    for name in ("seed_3", "seed_13", "seed_3.1"):
        (tmp_path / name).mkdir()
    (tmp_path / "seed_file").write_text("")
    pattern = str(tmp_path / "seed_*")
    assert [run.name for run in teacher_runs([pattern, pattern])] == ["seed_13", "seed_3"]


@pytest.mark.slow  # its parts are quick: test_monitor, tests/training/test_ranks.py
def test_two_processes_train_as_one(root: Path, tmp_path: Path) -> None:
    """Through torchrun: a committee, whose form the first process chooses."""
    ddp = ("--set", "training.parallel=ddp", "--set", "training.processes=2")
    teachers = [str(root / "joint/seed_*")]
    for name, more in {"one": (), "two": ddp}.items():
        assert train(root, tmp_path / name, *more, teachers=teachers) == 0
    for file, columns in {"train.csv": ("loss", "P"), "val.csv": ("predicted_error", "moved")}.items():
        one, two = (rows_of(tmp_path / name / "run" / file) for name in ("one", "two"))
        for a, b in zip(one, two, strict=True):
            assert all(float(a[c] or 0) == pytest.approx(float(b[c] or 0), abs=1e-4) for c in columns)
