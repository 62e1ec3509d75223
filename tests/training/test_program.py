"""A training from its command line to its exit code, by a method of a few lines."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pkgs.training.assembly import carry_out
from pkgs.training.checkpoint_folder import publish
from pkgs.training.loop import Loop
from pkgs.training.ranks import Ranks
from pkgs.training.starting_point import StartingPoint
from tests.builders.line_program import Study, start_of
from tests.builders.ranks import in_ranks


@pytest.fixture(autouse=True)
def own_signals_and_threads() -> Iterator[None]:
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)


def point(folder: Path, *, weights: bytes = b"w") -> StartingPoint:
    """Write what a finished run of a teacher leaves, as far as it is looked at."""
    publish(folder / "checkpoints", "last", step=len(weights), files={"teacher.safetensors": weights})
    (folder / "test.csv").write_text("weights,source\nlast,pooled\n")
    return StartingPoint(folder, "teacher")


def provenance(run: Path) -> dict[str, object]:
    return json.loads((run / "provenance.json").read_text())


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have SIGTERM come after a step."""
    real = Loop.log

    def log(loop: Loop) -> None:
        real(loop)
        if loop.state.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Loop, "log", log)


def test_a_run_is_trained_then_judged_then_closed_the_last_opened_first(tmp_path: Path) -> None:
    study = Study()
    assert study.main(tmp_path) == 0
    assert study.happened == ["joined", "judged after step 6", "closed method", "closed loader"]
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"config.yaml", "train.csv", "test.csv"}


def test_provenance_tells_data_and_numerics_and_inputs_only_of_those_who_can_have_some(
    tmp_path: Path,
) -> None:
    for name, points in (("without", None), ("with", dict)):
        (tmp_path / name).mkdir()
        assert Study(starting_points=points).main(tmp_path / name) == 0
    told = provenance(tmp_path / "without/run")
    assert told["data"] == {"root": "lines"}
    assert told["numerics"]["precision"] == "fp32"
    assert "inputs" not in told
    assert provenance(tmp_path / "with/run")["inputs"] == {}


def test_a_finished_run_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Study().main(tmp_path)
    again = Study()
    assert again.main(tmp_path) == 0
    assert "finished already, nothing to do." in capsys.readouterr().out
    assert again.happened == []


def test_check_tells_all_faults_at_once_and_begins_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = {"teacher": StartingPoint(tmp_path / "nowhere", "teacher")}
    study = Study(problems=["no images", "no masks"], starting_points=lambda: missing)
    assert study.main(tmp_path, "--check") == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"teacher: {tmp_path / 'nowhere'}: has no checkpoint 'last'.")
    assert told[1:] == ["no images", "no masks"]
    assert study.happened == ["looked at the data"]
    assert not (tmp_path / "run").exists()


def test_check_says_that_all_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Study().main(tmp_path, "--check") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'line.yaml'}: config and data are fine.\n"


def test_a_setting_that_nobody_knows_is_refused_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Study().main(tmp_path, lenght="6 steps") == 2
    assert "Did you mean 'length'?" in capsys.readouterr().err


def test_a_folder_of_another_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Study().main(tmp_path)
    assert Study().main(tmp_path, length="7 steps") == 2
    assert "training.length was '6 steps', now '7 steps'" in capsys.readouterr().err


def test_missing_inputs_are_told_as_whoever_looks_for_them_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> dict[str, StartingPoint]:
        raise ValueError("no teachers there. Train some.")

    assert Study(starting_points=none).main(tmp_path) == 2
    assert capsys.readouterr().err == "no teachers there. Train some.\n"


def test_a_run_goes_on_with_the_inputs_that_it_began_with_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study(starting_points=lambda: {"teacher": StartingPoint(tmp_path / "teacher", "teacher")})
    point(tmp_path / "teacher")
    with monkeypatch.context() as patch:
        stop_at(2, patch)
        assert study.main(tmp_path) == 143
    point(tmp_path / "teacher", weights=b"others")
    assert study.main(tmp_path) == 2
    assert "its inputs have changed since it began" in capsys.readouterr().err
    point(tmp_path / "teacher", weights=b"w")
    assert study.main(tmp_path) == 0


def test_inputs_of_a_finished_run_may_be_gone(tmp_path: Path) -> None:
    made = point(tmp_path / "teacher")
    study = Study(starting_points=lambda: {"teacher": made})
    assert study.main(tmp_path) == 0
    made.file.unlink()
    assert study.main(tmp_path) == 0


def test_a_stopped_run_is_closed_not_judged_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study()
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        assert study.main(tmp_path) == 143
    assert study.happened == ["joined", "closed method", "closed loader"]
    assert study.main(tmp_path) == 0
    assert "line seed 0: going on from step 3 of 6." in capsys.readouterr().out


def test_what_cannot_be_judged_is_a_sentence_and_all_is_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise ValueError("no test images")

    study = Study(judge=refuse)
    assert study.main(tmp_path) == 2
    assert capsys.readouterr().err == "no test images\n"
    assert study.happened[1:] == ["judged after step 6", "closed method", "closed loader"]


def test_a_replay_computes_the_kept_step_again_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study(poison=10)
    assert study.main(tmp_path) == 81
    kept = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert study.main(tmp_path, "--replay-nan", str(tmp_path / "run/attempts/1/nan")) == 0
    assert "loss" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == kept


def test_only_the_first_of_several_processes_writes_down_and_judges(tmp_path: Path) -> None:
    def act(ranks: Ranks) -> list[str]:
        study = Study()
        carry_out(start_of(tmp_path / f"run_{ranks.rank}", study, ranks=ranks))
        return study.happened

    for rank in range(2):
        (tmp_path / f"run_{rank}").mkdir()
    first, second = in_ranks(tmp_path / "answers", act)
    assert first == ["joined", "judged after step 6", "closed method", "closed loader"]
    assert second == ["joined", "closed method", "closed loader"]
    assert list((tmp_path / "run_1").iterdir()) == []
