"""Files of weights that others made: read if they hold tensors, refused in a sentence if not, never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pkgs.models.weight_file import read_weights
from tests.builders.pickle_bombs import write_legacy_bomb, write_plain_bomb, write_zipped_bomb

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def same(found: dict[str, torch.Tensor]) -> bool:
    return list(found) == list(WEIGHTS) and all(torch.equal(found[key], WEIGHTS[key]) for key in WEIGHTS)


def test_every_form_is_told_by_its_content(tmp_path: Path) -> None:
    safetensors.torch.save_file(WEIGHTS, tmp_path / "named_wrongly.pth")
    torch.save(WEIGHTS, tmp_path / "old.tar")
    torch.save(WEIGHTS, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": WEIGHTS}, tmp_path / "nested.safetensors")
    assert len(read_weights(tmp_path / "named_wrongly.pth")) == 2  # safetensors sorts its keys
    for name in ("old.tar", "legacy.pt", "nested.safetensors"):
        assert same(read_weights(tmp_path / name))


@pytest.mark.parametrize("write", [write_zipped_bomb, write_plain_bomb, write_legacy_bomb])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_pickle_bomb_does_nothing_and_the_way_out_is_told(
    tmp_path: Path, write: Callable[..., Path], name: str
) -> None:
    bomb = write(tmp_path / name, mark=tmp_path / "mark")
    with pytest.raises(
        ValueError, match=r"holds Python objects besides tensors.*Ask for a state dict or a safetensors file"
    ):
        read_weights(bomb)
    assert not (tmp_path / "mark").exists()


def test_a_pickled_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(ValueError, match="save its state_dict"):
        read_weights(tmp_path / "module.pth")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, share: float, zipped: bool) -> None:  # noqa: FBT001
    path = tmp_path / "cut.pth"
    torch.save({"w": torch.rand(500)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.pth: is (damaged|no safetensors)"):
        read_weights(path)


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04nonsense"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.safetensors: is (damaged|no safetensors)"):
        read_weights(tmp_path / "file.safetensors")


def test_a_pickle_of_which_nothing_can_be_told_is_taken_for_a_bomb(tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_bytes(b"\x80\x04nonsense")
    with pytest.raises(ValueError, match="holds Python objects besides tensors"):
        read_weights(tmp_path / "file.pth")


def test_a_safetensors_file_with_a_damaged_head_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"damaged one.*Copy it again from its origin"):
        read_weights(path)


def test_a_missing_file_and_one_without_tensors_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"No such file.*Is the path right"):
        read_weights(tmp_path / "no.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds a list; expected a dictionary of tensors"):
        read_weights(tmp_path / "list.pth")
    torch.save({"epoch": 3, "w": torch.ones(1)}, tmp_path / "mixed.pth")
    with pytest.raises(ValueError, match=r"expected tensors by name, got epoch \(int\)"):
        read_weights(tmp_path / "mixed.pth")
