"""Teachers of other runs: found, whole, frozen; and what is said when they are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from pkgs.errormap.frozen import load_error_teacher
from pkgs.foundation.provenance import digest_file
from pkgs.models.error_teacher import build_error_teacher
from pkgs.training.checkpoints import save_checkpoint

LIGHT = "vit_error_map_light"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    teacher = build_error_teacher(LIGHT, seed=5, size_px=64)
    teacher.slope.fill_(0.5)
    teacher.offset.fill_(-2.0)
    for step, name in ((3, "best"), (7, "last")):
        save_checkpoint(
            tmp_path / "run/checkpoints", name, step=step, modules={"teacher": teacher}, state={"loop": {}}
        )
    return tmp_path / "run"


def test_a_teacher_comes_back_whole_with_its_recalibration_and_frozen(run: Path) -> None:
    teacher, digest = load_error_teacher(run, name=LIGHT, size_px=64)
    assert (teacher.slope.item(), teacher.offset.item()) == (0.5, -2.0)
    assert not teacher.training
    assert not any(weight.requires_grad for weight in teacher.parameters())
    assert digest == digest_file(run / "checkpoints/last/teacher.safetensors")
    same = build_error_teacher(LIGHT, seed=5, size_px=64).state_dict()
    assert all(torch.equal(v, same[k]) for k, v in teacher.state_dict().items() if k.startswith("network"))


def test_the_gradient_flows_through_its_input_though_not_into_its_weights(run: Path) -> None:
    teacher, _ = load_error_teacher(run, name=LIGHT, size_px=64)
    mask = torch.rand(1, 1, 64, 64, requires_grad=True)
    teacher(torch.rand(1, 1, 64, 64), mask).share_B1HW.sum().backward()
    assert mask.grad is not None
    assert all(weight.grad is None for weight in teacher.parameters())


def test_a_folder_or_a_file_of_weights_will_do(run: Path, tmp_path: Path) -> None:
    whole = load_error_teacher(run, name=LIGHT, size_px=64)[1]
    file = tmp_path / "teacher_joint_5.safetensors"
    shutil.copy(run / "checkpoints/last/teacher.safetensors", file)
    for path in (run / "checkpoints/last", file):
        assert load_error_teacher(path, name=LIGHT, size_px=64)[1] == whole


def test_a_run_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"seed_3: holds no error teacher: no whole checkpoint 'last'.*after"
    ):
        load_error_teacher(tmp_path / "seed_3", name=LIGHT, size_px=64)


def test_a_run_without_a_teacher_is_named(tmp_path: Path) -> None:
    save_checkpoint(
        tmp_path / "checkpoints",
        "last",
        step=1,
        modules={"student": torch.nn.Linear(1, 1)},
        state={"loop": {}},
    )
    with pytest.raises(ValueError, match=r"last_00000001 has no teacher.safetensors"):
        load_error_teacher(tmp_path, name=LIGHT, size_px=64)


def test_a_teacher_of_another_size_or_network_is_refused(run: Path) -> None:
    with pytest.raises(ValueError, match=r"at 96 px\).*another shape.*position_embeddings"):
        load_error_teacher(run, name=LIGHT, size_px=96)
    file = run / "student.safetensors"
    from pkgs.training.checkpoints import encode_weights

    file.write_bytes(encode_weights(torch.nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="weights of another network"):
        load_error_teacher(file, name=LIGHT, size_px=64)


def test_a_damaged_file_is_refused(run: Path) -> None:
    file = run / "cut.safetensors"
    file.write_bytes((run / "checkpoints/last/teacher.safetensors").read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged"):
        load_error_teacher(file, name=LIGHT, size_px=64)
