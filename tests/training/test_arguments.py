"""The command line and what the queue fills in."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from pkgs.foundation.run_folder import RunFolder
from pkgs.training import arguments as command_line

parse = partial(command_line.parse, module="pkgs.student", purpose="Train.")

CONFIG = ["--config", "configs/ke/student_baseline.yaml"]
QUEUE = {"QUEUE_SEED": "13", "QUEUE_RUN_DIR": "/runs/a", "QUEUE_ATTEMPT": "0c1d", "QUEUE_ROOT": "/runs"}


def launched(run: Path, *names: str) -> Path:
    """Leave in a run folder what the queue does before it starts attempts of these names."""
    for number, name in enumerate(names, start=1):
        attempt = RunFolder(run).attempt(number)
        attempt.path.mkdir(parents=True)
        attempt.launch.write_text(json.dumps({"attempt": name}))
    return run


def test_the_queue_fills_in_seed_folder_and_attempt(tmp_path: Path) -> None:
    run = launched(tmp_path / "a", "9f3e", "0c1d")
    arguments = parse(CONFIG, {**QUEUE, "QUEUE_RUN_DIR": str(run)})
    assert (arguments.seed, arguments.folder.path, arguments.attempt) == (13, run, 2)
    assert arguments.variables == {"seed": "13", "root": "/runs"}


@pytest.mark.parametrize("name", ["", "77aa", "3"], ids=["by hand", "of another run", "a number"])
def test_an_attempt_that_has_no_folder_of_the_queue_gets_the_next_number(tmp_path: Path, name: str) -> None:
    run = launched(tmp_path / "a", "9f3e", "0c1d")
    assert parse([*CONFIG, "--run-dir", str(run)], {"QUEUE_ATTEMPT": name}).attempt == 3


def test_the_command_line_goes_before_the_queue() -> None:
    arguments = parse([*CONFIG, "--seed", "4", "--run-dir", "/b"], QUEUE)
    assert (arguments.seed, arguments.folder.path) == (4, Path("/b"))


def test_by_hand_the_run_folder_follows_from_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # else runs of this checkout count as attempts
    arguments = parse([*CONFIG, "--seed", "4"], {})
    assert arguments.folder.path == Path("logs_and_checkpoints/ke/student_baseline/seed_4")
    assert arguments.attempt == 1


def test_a_seed_that_is_no_number_is_refused() -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(CONFIG, {"QUEUE_SEED": "four"})


def test_the_words_of_a_run_need_no_queue() -> None:
    asked = parse([*CONFIG, "--set", "training.threads=2"], QUEUE)
    again = parse(asked.words, {"QUEUE_ATTEMPT": "0c1d", "QUEUE_ROOT": "/runs"})
    assert again == asked


def test_the_replay_names_its_folder() -> None:
    assert parse([*CONFIG, "--replay-nan", "a/nan"], {}).replay_nan == Path("a/nan")
