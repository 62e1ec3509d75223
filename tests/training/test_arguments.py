"""The command line and what the queue fills in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from pkgs.training import arguments as command_line

parse = partial(command_line.parse, module="pkgs.student", purpose="Train.")

CONFIG = ["--config", "configs/ke/student_baseline.yaml"]
QUEUE = {"QUEUE_SEED": "13", "QUEUE_RUN_DIR": "/runs/a", "QUEUE_ATTEMPT": "2", "QUEUE_ROOT": "/runs"}


def test_the_queue_fills_in_seed_folder_and_attempt() -> None:
    arguments = parse(CONFIG, QUEUE)
    assert (arguments.seed, arguments.folder.path, arguments.attempt) == (13, Path("/runs/a"), 2)
    assert arguments.variables == {"seed": "13", "root": "/runs"}


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
    again = parse(asked.words, {"QUEUE_ATTEMPT": "2", "QUEUE_ROOT": "/runs"})
    assert again == asked


def test_the_replay_names_its_folder() -> None:
    assert parse([*CONFIG, "--replay-nan", "a/nan"], {}).replay_nan == Path("a/nan")
