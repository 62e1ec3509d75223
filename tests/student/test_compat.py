"""Each defect of data reaches, through the student itself, the function that repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pkgs.ensemble import evaluation
from pkgs.student import step, unlabelled
from pkgs.student.__main__ import main
from tests.student import test_expansion
from tests.student.test_main import config_for, data, own_signals_and_threads, words

__all__ = ["data", "own_signals_and_threads", "root"]
root = test_expansion.root
Seen = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Return what functions below the student are called with, in order."""
    told: Seen = []

    def watch(module: object, name: str) -> None:
        real = getattr(module, name)

        def called(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever it is
            told.append((name, more))
            return real(*args, **more)

        monkeypatch.setattr(module, name, called)

    for module, name in (
        (step, "draw"), (step, "augment"), (step, "draw_published"), (step, "published_label"),
        (unlabelled, "draw"), (unlabelled, "augment"), (unlabelled, "open_pool"), (evaluation, "judge"),
    ):  # fmt: skip
        watch(module, name)
    return told


def train(data: Path, folder: Path, *sets: str) -> None:
    more = [word for text in sets for word in ("--set", text)]
    assert main(words(config_for(data, folder, steps=2), folder / "run", *more)) == 0


def values(seen: Seen, function: str, argument: str) -> set[object]:
    return {more[argument] for name, more in seen if name == function}


def test_without_a_switch_nothing_of_the_reference_is_asked_for(
    data: Path, tmp_path: Path, seen: Seen
) -> None:
    train(data, tmp_path, "target.corrupt=0.5")
    assert values(seen, "draw", "cycle") == values(seen, "draw_published", "cycle") == {False}
    assert values(seen, "draw", "reference") == values(seen, "augment", "reference") == {False}
    assert values(seen, "judge", "drop_p1_bin") == {False}
    assert "published_label" in {name for name, _ in seen}


def test_rng_cycle_repeats_the_draws_of_images_and_targets(data: Path, tmp_path: Path, seen: Seen) -> None:
    train(data, tmp_path, "compat.rng_cycle=true", "target.corrupt=0.5")
    assert values(seen, "draw", "cycle") == values(seen, "draw_published", "cycle") == {True}


def test_reference_augment_changes_draws_and_images(data: Path, tmp_path: Path, seen: Seen) -> None:
    train(data, tmp_path, "compat.reference_augment=true")
    assert values(seen, "draw", "reference") == values(seen, "augment", "reference") == {True}


def test_drop_p1_bin_reaches_the_calibration_bins(data: Path, tmp_path: Path, seen: Seen) -> None:
    train(data, tmp_path, "compat.drop_p1_bin=true")
    assert values(seen, "judge", "drop_p1_bin") == {True}


def test_gt_augment_noop_leaves_the_target_alone(data: Path, tmp_path: Path, seen: Seen) -> None:
    train(data, tmp_path, "compat.gt_augment_noop=true", "target.corrupt=0.5")
    assert "published_label" not in {name for name, _ in seen}


def test_test_is_remainder_splits_by_patch_anew_for_each_run(data: Path, tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        train(data, tmp_path / name, "compat.test_is_remainder=true")
        found.append(json.loads((tmp_path / name / "run/provenance.json").read_text())["data"]["split"])
    assert found[0] != found[1]
    assert all(split.startswith("patch_seed") for split in found)


@pytest.mark.parametrize("on", [False, True])
def test_the_pool_is_opened_drawn_and_changed_as_the_switches_say(
    root: Path, tmp_path: Path, seen: Seen, *, on: bool
) -> None:
    switches = ("pool_overlap", "reference_augment", "rng_cycle")
    words = [w for name in switches for w in ("--set", f"compat.{name}={str(on).lower()}")]
    assert test_expansion.train(root, tmp_path / "run", *words, "--set", "training.length=2 steps") == 0
    assert values(seen, "open_pool", "keep_overlap") == {on}
    assert values(seen, "draw", "cycle") == {on}
    assert values(seen, "augment", "reference") == {on}
