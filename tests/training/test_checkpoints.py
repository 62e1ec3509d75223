"""Checkpoints that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from pkgs.training.checkpoint_folder import fault_of, newest_whole, publish
from pkgs.training.checkpoints import (
    encode_weights,
    load_checkpoint,
    load_some_weights,
    load_weights,
    load_weights_of,
    refuse_others,
    replace_weights,
    save_checkpoint,
)


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


def test_an_unfinished_folder_is_no_spare_and_does_not_push_one_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(
            "pkgs.training.checkpoint_folder.write_json", lambda *_: (_ for _ in ()).throw(KeyError)
        )
        with pytest.raises(KeyError):
            save(tmp_path, 2, 2.0)  # died before its digests were written
    save(tmp_path, 3, 3.0)
    (tmp_path / "last/state.pt").write_bytes(b"")
    assert weight_of(tmp_path) == 1


def test_weights_carry_their_origin_as_text_and_equal_ones_of_two_settings_are_equal_files(
    tmp_path: Path,
) -> None:
    about = {"data_digest": "d1"}
    modules = {"student": nn.Linear(1, 1)}
    files = []
    for settings in ("c1", "c2"):
        whole = {**about, "config_digest": settings}
        save_checkpoint(tmp_path, "last", step=3, modules=modules, state={}, about=whole)
        files.append((tmp_path / "last/student.safetensors").read_bytes())
    assert files[0] == files[1]
    with safetensors.safe_open(tmp_path / "last/student.safetensors", "pt") as file:  # type: ignore[no-untyped-call]
        told = file.metadata()
    assert told == {**about, "step": "3", "torch": str(torch.__version__), "format": "2"}


def test_weights_that_are_replaced_are_marked_and_all_else_stays(tmp_path: Path) -> None:
    modules = {"student": nn.Linear(1, 1), "teacher": nn.Linear(1, 1)}
    save_checkpoint(tmp_path, "last", step=3, modules=modules, state={"x": 1}, about={})
    before = {path.name: path.read_bytes() for path in (tmp_path / "last").iterdir()}
    other = nn.Linear(1, 1)
    for _ in range(2):  # a second time changes nothing
        replace_weights(tmp_path, "last", modules={"teacher": other}, about={"recalibrated": "on val"})
    found = load_checkpoint(tmp_path, "last")
    assert found is not None
    assert torch.equal(found.weights["teacher"]["weight"], other.weight)
    with safetensors.safe_open(tmp_path / "last/teacher.safetensors", "pt") as file:  # type: ignore[no-untyped-call]
        assert file.metadata()["recalibrated"] == "on val"
    assert {path.name for path in tmp_path.glob("last_*")} == {"last_00000003", "last_00000003_2"}
    after = {path.name: path.read_bytes() for path in (tmp_path / "last").iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"teacher.safetensors", "digests.json"}


def test_weights_of_no_checkpoint_cannot_be_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no whole checkpoint"):
        replace_weights(tmp_path, "last", modules={}, about={})


def test_names_carry_no_wrapper() -> None:
    as_compiled = nn.ModuleDict({"_orig_mod": nn.Linear(1, 1)})  # how torch.compile names what it wraps
    wrapped = nn.DataParallel(nn.Sequential(as_compiled))
    weights = safetensors.torch.load(encode_weights(wrapped))
    assert sorted(weights) == ["0.bias", "0.weight"]
    load_weights(wrapped, {key: value + 1 for key, value in weights.items()}, where="x")
    assert torch.equal(wrapped.state_dict()["module.0._orig_mod.bias"], weights["0.bias"] + 1)


def test_shared_weights_are_written_once_each() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    weights = safetensors.torch.load(encode_weights(network))
    assert torch.equal(weights["0.weight"], weights["1.weight"])


def test_weights_of_another_shape_are_refused_with_both_shapes() -> None:
    weights = {"weight": torch.ones(3, 2), "bias": torch.ones(3)}
    with pytest.raises(ValueError, match=r"weight \(3, 2\) instead of \(1, 2\)"):
        load_weights(nn.Linear(2, 1), weights, where="x")


def test_partial_loading_names_the_prefix_and_how_many_were_taken() -> None:
    network = nn.ModuleDict({"encoder": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    head = network["head"].weight.detach().clone()
    given = {"module.encoder.weight": torch.ones(2, 2), "decoder.weight": torch.ones(9)}
    told = load_some_weights(network, given, prefix="encoder.", where="x")
    assert told == "x: took 1 of 2 tensors below 'encoder.'."
    assert torch.equal(network["encoder"].weight, torch.ones(2, 2))
    assert torch.equal(network["head"].weight, head)


def test_partial_loading_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no weight of the network begins with 'backbone\.'.*weight.*w2"):
        load_some_weights(nn.Linear(2, 1), {"w2": torch.ones(1)}, prefix="backbone.", where="x")


def test_a_checkpoint_of_another_method_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path, 1, 1.0)
    with pytest.raises(ValueError, match="no weights of 'teacher', only of student"):
        load_weights_of(tmp_path, "last", {"teacher": nn.Linear(2, 1)})


def test_other_data_and_other_formats_are_refused(tmp_path: Path) -> None:
    about = {"data_digest": "d1"}
    save_checkpoint(tmp_path, "last", step=1, modules={}, state={}, about=about)
    found = load_checkpoint(tmp_path, "last")
    assert found is not None
    refuse_others(found, data_digest="d1", where="last")
    with pytest.raises(ValueError, match=r"other data.*digest d1, now d2"):
        refuse_others(found, data_digest="d2", where="last")
    found.state["about"]["format"] = "1"
    with pytest.raises(ValueError, match="another version"):
        refuse_others(found, data_digest="d1", where="last")


def test_a_checkpoint_cut_at_every_block_falls_back(tmp_path: Path) -> None:
    save(tmp_path, 1, 1.0)
    save(tmp_path, 2, 2.0)
    path = tmp_path / "last/state.pt"
    content = path.read_bytes()
    for keep in range(0, len(content), 256):
        path.write_bytes(content[:keep])
        assert weight_of(tmp_path) == 1
    path.write_bytes(content)
    assert weight_of(tmp_path) == 2


def test_equal_weights_are_equal_files() -> None:
    network = nn.Conv2d(3, 4, 3)
    about = dict.fromkeys("abcdefgh", "x")
    files = [encode_weights(network, about=about) for _ in range(5)]
    assert len(set(files)) == 1
    assert torch.equal(safetensors.torch.load(files[0])["weight"], network.weight)
