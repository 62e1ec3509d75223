"""`python -m pkgs.student` from its command line to its run folder."""

from __future__ import annotations

import csv
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from pkgs.foundation.progress import read_progress
from pkgs.foundation.run_folder import RunFolder
from pkgs.student.__main__ import main
from pkgs.training import checkpoint_folder
from pkgs.training.loop import Loop
from tests.builders.cem_mitolab import write_cem_mitolab

ROOT = Path(__file__).parents[2]
SOURCES = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cem_mitolab(tmp_path_factory.mktemp("data"), sources=SOURCES)


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


def config_for(data: Path, folder: Path, *, steps: int = 12, spatial: float = 0.75) -> Path:
    settings = {
        "data": {
            "root": str(data),
            "size_px": 32,
            "split": {"min_sources": 1, "max_source_share": 0.2, "train": 0.8, "val": 0.1, "test": 0.1},
        },
        "model": {"name": "unet2d"},
        "augment": {"spatial": spatial, "raw": 0.5},
        "training": {
            "length": f"{steps} steps",
            "batch_samples": 4,
            "optimiser": {"lr": 0.01},
            "schedule": {"name": "cosine"},
            "validate_every": "4 steps",
            "threads": 1,
        },
        "output": {"samples": 2},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings))
    return folder / "tiny.yaml"


def words(config: Path, run: Path, *more: str) -> list[str]:
    return ["--config", str(config), "--run-dir", str(run), "--seed", "3", "--device", "cpu", *more]


def weights_of(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "checkpoints" / name / "student.safetensors")


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
    assert names >= {"checkpoints", "predictions"}
    told = read_progress(RunFolder(whole))
    assert told is not None
    assert (told.step, told.steps) == (12, 12)


def test_settings_and_origin_are_written_down_whole(whole: Path) -> None:
    settings = yaml.safe_load((whole / "config.yaml").read_text())
    assert settings["training"]["precision"] == "fp32"  # a default
    told = json.loads((whole / "provenance.json").read_text())
    assert len(told["data_fingerprint"]) == len(told["config_digest"]) == 16
    assert told["data"]["synthetic"] is False


def test_test_scores_come_for_last_best_and_threshold_per_source_macro_and_pooled(whole: Path) -> None:
    rows = rows_of(whole / "test.csv")
    assert {row["weights"] for row in rows} == {"last", "best", "threshold"}
    of_last = [row for row in rows if row["weights"] == "last"]
    assert [row["source"] for row in of_last[-2:]] == ["macro", "pooled"]
    assert len(of_last) == 3
    assert all(row["iou"] and row["time_unix_s"] and row["lr"] for row in rows)
    assert all(bool(row["ece_fg"]) == (row["weights"] != "threshold") for row in rows)


def test_calibration_sums_can_be_merged_to_the_pooled_scores(whole: Path) -> None:
    sums = [row for row in rows_of(whole / "predictions/calibration.csv") if row["weights"] == "last"]
    pooled = next(r for r in rows_of(whole / "test.csv") if (r["weights"], r["source"]) == ("last", "pooled"))
    total = sum(int(row["count"]) for row in sums)
    gaps = [
        abs(sum(float(row["sum_p"]) - float(row["sum_y"]) for row in sums if row["bin"] == str(b)))
        for b in range(15)
    ]
    assert sum(gaps) / total == pytest.approx(float(pooled["ece_fg"]), abs=1e-6)


def test_stored_predictions_are_those_that_were_scored(whole: Path) -> None:
    files = sorted((whole / "predictions").glob("*.npz"))
    assert len(files) == 2
    with np.load(files[0]) as sample:
        assert sample["image"].shape == sample["label"].shape == sample["probability"].shape == (32, 32)
        assert 0 <= sample["probability"].min() <= sample["probability"].max() <= 1
        assert str(sample["sample"]).replace("/", "__") == files[0].stem


def test_a_finished_run_started_again_says_so_and_changes_nothing(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert main(words(whole.parent / "tiny.yaml", whole)) == 0
    assert "finished already" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    config = config_for(data, tmp_path)
    main(words(config, tmp_path / "a"))
    main([*words(config, tmp_path / "b"), "--seed", "4"])
    assert same(weights_of(tmp_path / "a"), weights_of(whole))
    assert not same(weights_of(tmp_path / "b"), weights_of(whole))


@pytest.mark.parametrize("at", random.Random(0).sample(range(1, 13), 4))  # noqa: S311 - no secret
def test_a_run_killed_at_a_random_step_ends_bit_for_bit_as_the_whole_one(
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
    assert rows_of(tmp_path / "run/test.csv")[0]["iou"] == rows_of(whole / "test.csv")[0]["iou"]


def test_poisoned_global_generators_change_nothing(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Loop.log

    def log(loop: Loop) -> None:
        real(loop)
        torch.manual_seed(loop.state.step)
        np.random.seed(loop.state.step)
        random.seed(loop.state.step)

    monkeypatch.setattr(Loop, "log", log)
    main(words(config_for(data, tmp_path), tmp_path / "run"))
    assert same(weights_of(tmp_path / "run"), weights_of(whole))


def test_conditions_of_a_seed_share_weights_order_and_stored_images(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    main(words(config_for(data, tmp_path, spatial=0.0), tmp_path / "run"))
    names = [sorted(p.name for p in (run / "predictions").glob("*.npz")) for run in (whole, tmp_path / "run")]
    assert names[0] == names[1]
    assert not same(weights_of(tmp_path / "run"), weights_of(whole))


def test_check_needs_no_torch_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    command = words(config_for(data, tmp_path), tmp_path / "run", "--check")
    script = (
        "import sys; from pkgs.student.__main__ import main; "
        f"sys.exit(main({command!r}) or 'torch' in sys.modules)"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["training.lenght='3 steps'"], "Did you mean 'length'"),
        (["training.optimiser.lr=-1"], "training.optimiser.lr"),
        (["data.root=nowhere"], "nowhere: is not a folder"),
        (["data.split.min_sources=7"], "runs out of sources"),
        (["data.size_px=30"], "multiple of 16"),
        (["model.name=resnet"], "unet2d"),
        (["training.accumulate=9"], "each micro-batch needs at least one sample"),
        (["training.save_every=often"], "'often' is no duration"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_two(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: Sequence[str], told: str
) -> None:
    more = [word for override in overrides for word in ("--set", override)]
    for mode in ([], ["--check"]):
        name = ["--set", "data.split.name=other"]
        assert main(words(config_for(data, tmp_path), tmp_path / "run", *more, *name, *mode)) == 2
        text = capsys.readouterr().err
        assert told in text
        assert "Traceback" not in text


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--device", "cuda"], "torch sees no CUDA device"),
        (["--set", "training.parallel=ddp"], "set training.processes to 2 or more"),
        (["--set", "training.best.metric=dise"], "Did you mean 'dice'"),
    ],
)
def test_what_only_the_start_can_know_is_one_sentence_and_exit_code_two(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: Sequence[str], told: str
) -> None:
    if "cuda" in more and torch.cuda.is_available():
        pytest.skip("there is one")
    assert main(words(config_for(data, tmp_path), tmp_path / "run", *more)) == 2
    text = capsys.readouterr().err
    assert told in text
    assert len(text.splitlines()) == 1
    assert not (tmp_path / "run/train.csv").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_checkpoint_that_cannot_be_written_ends_the_run_with_a_sentence_and_it_goes_on_later(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], number: int,
) -> None:  # fmt: skip
    real = checkpoint_folder.write_whole

    def refused(path: Path, content: bytes) -> None:
        if "last_00000008" in str(path):
            raise OSError(number, os.strerror(number), str(path))
        real(path, content)

    monkeypatch.setattr(checkpoint_folder, "write_whole", refused)
    assert main(words(config_for(data, tmp_path), tmp_path / "run")) == 1
    text = capsys.readouterr().err
    assert os.strerror(number) in text
    assert "The last checkpoint stays valid" in text
    assert "Traceback" not in text
    monkeypatch.undo()
    assert main(words(config_for(data, tmp_path), tmp_path / "run")) == 0
    assert "going on from step 4 of 12" in capsys.readouterr().out
    assert same(weights_of(tmp_path / "run"), weights_of(whole))


def test_short_training_takes_one_batch_of_each_part(data: Path, tmp_path: Path) -> None:
    more = ["--set", "training.short_training=true"]
    assert main(words(config_for(data, tmp_path, steps=1000), tmp_path / "run", *more)) == 0
    assert [row["step"] for row in rows_of(tmp_path / "run/train.csv")] == ["1"]
    pooled = next(row for row in rows_of(tmp_path / "run/test.csv") if row["source"] == "pooled")
    assert int(pooled["images"]) <= 4


def test_numerics_are_recorded_and_the_exact_switch_and_debug_change_no_bit_on_a_cpu(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    more = ["--set", "training.deterministic=true", "--set", "training.debug=true"]
    try:
        assert main(words(config_for(data, tmp_path), tmp_path / "run", *more)) == 0
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.autograd.set_detect_anomaly(mode=False)
    told = json.loads((tmp_path / "run/provenance.json").read_text())["numerics"]
    assert told["deterministic"] is True
    assert told["tf32"] is False
    assert same(weights_of(tmp_path / "run"), weights_of(whole))


def test_check_tells_all_problems_at_once(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "run"
    subprocess.run(["cp", "-a", str(whole), str(copied)], check=True)
    (copied / "checkpoints/last/student.safetensors").write_bytes(b"cut")
    more = ["--set", "data.root=nowhere", "--check"]
    assert main(words(whole.parent / "tiny.yaml", copied, *more)) == 2
    text = capsys.readouterr().err
    assert "data.root was" in text
    assert "nowhere: is not a folder" in text
    assert "student.safetensors is damaged" in text


def test_a_resume_under_other_settings_names_the_keys(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--set", "training.optimiser.lr=0.5"]
    assert main(words(whole.parent / "tiny.yaml", whole, *more)) == 2
    assert "training.optimiser.lr was 0.01, now 0.5" in capsys.readouterr().err


def test_a_diverging_run_ends_with_its_own_code_and_keeps_the_evidence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUEUE_ATTEMPT", "0c1d")
    (tmp_path / "run/attempts/2").mkdir(parents=True)
    (tmp_path / "run/attempts/2/launch.json").write_text('{"attempt": "0c1d"}')
    more = ["--set", "training.optimiser.lr=1e38", "--set", "training.optimiser.name=sgd"]
    assert main(words(config_for(data, tmp_path), tmp_path / "run", *more)) == 81
    assert "not finite" in capsys.readouterr().err
    kept = tmp_path / "run/attempts/2/nan"
    batch = safetensors.torch.load_file(kept / "batch.safetensors")
    assert batch.keys() >= {"image_BCHW", "label_BHW", "spatial.matrix_BEE", "intensity.sigma_px_B"}
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    command = json.loads((kept / "about.json").read_text())["replay"]
    assert command[:3] == ["python", "-m", "pkgs.student"]
    assert main(command[3:]) == 0
    told = capsys.readouterr().out
    assert "The batch is the same, to the bit; not finite in it: nothing." in told
    assert "Gradients that are not finite: student." in told
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_one_batch_overfits(data: Path, tmp_path: Path) -> None:
    more = ["--set", "training.batch_samples=1", "--set", "training.length='150 steps'"]
    few = [
        "--set",
        "training.validate_every='150 steps'",
        "--set",
        "augment.raw=0",
        "--set",
        "data.split.by=file",
    ]
    source = sorted((data / "splits").glob("source*.csv"))[0].read_text().splitlines()
    parts = [line.split(",") for line in source[1:]]
    part = {0: "train", 1: "val", 2: "test"}
    lines = [",".join([p[0], p[1], part[min(k, 2)], p[3]]) for k, p in enumerate(parts)]
    (data / "splits/one.csv").write_text("\n".join([source[0], *lines]) + "\n")
    name = ["--set", "data.split.name=one"]
    config = config_for(data, tmp_path, spatial=0.0)
    assert main(words(config, tmp_path / "run", *more, *few, *name)) == 0
    assert float(rows_of(tmp_path / "run/train.csv")[-1]["loss"]) < 0.02


def test_sigterm_finishes_the_step_saves_last_and_exits_143(whole: Path, data: Path, tmp_path: Path) -> None:
    steps = ["--set", "training.length='100000 steps'", "--set", "training.schedule.name=constant"]
    command = [
        sys.executable,
        "-m",
        "pkgs.student",
        *words(config_for(data, tmp_path), tmp_path / "run", *steps),
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run/train.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(timeout=30) == 143
    state = torch.load(tmp_path / "run/checkpoints/last/state.pt", weights_only=True)
    assert state["loop"]["step"] > 0
    assert not (tmp_path / "run/test.csv").exists()
