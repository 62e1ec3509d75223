"""Checkpoints that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from pkgs.training.checkpoint_folder import fault_of, newest_whole, publish
from pkgs.training.checkpoints import load_checkpoint, load_weights, load_weights_of, save_checkpoint


def save(folder: Path, step: int, value: float) -> None:
    module = nn.Linear(2, 1)
    nn.init.constant_(module.weight, value)
    save_checkpoint(folder, "last", step=step, modules={"student": module}, state={"loop": {"step": step}})


def weight_of(folder: Path) -> float:
    found = load_checkpoint(folder, "last")
    assert found is not None
    return float(found.weights["student"]["weight"][0, 0])


def test_the_newest_is_shown_and_the_one_before_is_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step, float(step))
    assert weight_of(tmp_path) == 3
    assert (tmp_path / "last/student.safetensors").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "last_00000002", "last_00000003"]


@pytest.mark.parametrize("file_name", ["student.safetensors", "state.pt", "digests.json"])
@pytest.mark.parametrize("keep", [0, 1, 37])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    tmp_path: Path, file_name: str, keep: int
) -> None:
    save(tmp_path, 1, 1.0)
    save(tmp_path, 2, 2.0)
    path = tmp_path / "last" / file_name
    path.write_bytes(path.read_bytes()[:keep])
    found = load_checkpoint(tmp_path, "last")
    assert found is not None
    assert found.state["loop"]["step"] == 1
    assert "damaged" in found.notes[0]


def test_no_whole_checkpoint_at_all_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "never", "last") is None
    save(tmp_path, 1, 1.0)
    (tmp_path / "last/state.pt").unlink()
    assert newest_whole(tmp_path, "last")[0] is None


@pytest.mark.parametrize("call", ["replace", "symlink_to"])
def test_a_crash_while_publishing_leaves_the_old_one_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    save(tmp_path, 1, 1.0)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, call, die)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 2, 2.0)
    monkeypatch.undo()
    assert weight_of(tmp_path) == 1
    save(tmp_path, 2, 3.0)  # the same step again, its old folder in the way
    assert weight_of(tmp_path) == 3


def test_a_full_disk_keeps_the_old_one_and_leaves_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, 1.0)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 2, 2.0)
    monkeypatch.undo()
    assert weight_of(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "last_00000001"]


def test_weights_of_another_network_are_refused_with_their_names() -> None:
    with pytest.raises(ValueError, match=r"missing \['bias'\], surplus \['extra'\]"):
        load_weights(nn.Linear(2, 1), {"weight": torch.ones(1, 2), "extra": torch.ones(1)}, where="x")


def test_channels_last_weights_survive(tmp_path: Path) -> None:
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path, "best", step=7, modules={"student": network}, state={"loop": {"step": 7}})
    other = nn.Conv2d(3, 4, 3)
    assert load_weights_of(tmp_path, "best", {"student": other}) == 7
    assert torch.equal(other.weight, network.weight)


def test_a_whole_folder_has_no_fault(tmp_path: Path) -> None:
    assert fault_of(publish(tmp_path, "best", step=1, files={"a": b"1"})) is None
