"""Each defect of data reaches, through the pretraining itself, the function that repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pkgs.errormap import corruption
from pkgs.teacher import step
from pkgs.teacher.__main__ import main
from tests.teacher.test_main import config_for, data, own_signals_and_threads, rows_of, words

__all__ = ["data", "own_signals_and_threads"]
Calls = dict[str, list[dict[str, Any]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Return what the functions of `pkgs.data` are called with, by their name."""
    told: Calls = {}

    def watch(module: object, name: str) -> None:
        real = getattr(module, name)

        def called(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever it is
            told.setdefault(name, []).append(more)
            return real(*args, **more)

        monkeypatch.setattr(module, name, called)

    for module, name in (
        (step, "draw"), (step, "augment"), (corruption, "draw_sound"), (corruption, "draw_published"),
    ):  # fmt: skip
        watch(module, name)
    return told


def train(data: Path, folder: Path, *switches: str) -> None:
    config = config_for(data, folder, steps=2, compat=dict.fromkeys(switches, True))
    assert main(words(config, folder / "run")) == 0


def test_without_a_switch_nothing_of_the_reference_is_asked_for(
    data: Path, tmp_path: Path, calls: Calls
) -> None:
    train(data, tmp_path)
    assert not any(call["reference"] or call["cycle"] for call in calls["draw"])
    assert not any(call["reference"] for call in calls["augment"])
    assert not any(call["cycle"] for call in calls["draw_sound"])
    assert "draw_published" not in calls


def test_rng_cycle_repeats_the_draws_of_images_and_masks(data: Path, tmp_path: Path, calls: Calls) -> None:
    train(data, tmp_path, "rng_cycle")
    assert all(call["cycle"] for call in calls["draw"])
    assert any(call["cycle"] for call in calls["draw_sound"])


def test_reference_augment_changes_draws_and_images(data: Path, tmp_path: Path, calls: Calls) -> None:
    train(data, tmp_path, "reference_augment")
    assert all(call["reference"] for call in (*calls["draw"], *calls["augment"]))


def test_rare_corruption_draws_the_published_set_and_is_judged_on_the_sound_one(
    data: Path, tmp_path: Path, calls: Calls
) -> None:
    train(data, tmp_path, "rare_corruption")
    training = len(calls["draw"])
    assert len(calls["draw_published"]) > training  # and in validation
    assert calls["draw_sound"]


def test_test_is_remainder_splits_by_patch_and_tests_on_the_rest(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path, "test_is_remainder")
    split = json.loads((tmp_path / "run/provenance.json").read_text())["data"]["split"]
    assert split.startswith("patch_seed")
    pooled = next(row for row in rows_of(tmp_path / "run/test.csv") if row["source"] == "pooled")
    parts = [line.split(",")[2] for line in (data / "splits" / split).read_text().splitlines()[1:]]
    assert int(pooled["images"]) == parts.count("test") > 0.6 * len(parts)
