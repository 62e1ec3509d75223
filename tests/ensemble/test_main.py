"""`python -m pkgs.ensemble`: the mean probability of finished students."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pkgs.ensemble.__main__ import main
from pkgs.ensemble.mean import MeanProbability
from pkgs.models.output import Output
from pkgs.student.__main__ import main as train
from tests.builders.cem_mitolab import write_cem_mitolab
from tests.student.test_main import ROOT, config_for, rows_of

SEEDS = ("3", "13")


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a condition with two finished runs."""
    folder = tmp_path_factory.mktemp("study") / "student_baseline"
    data = write_cem_mitolab(tmp_path_factory.mktemp("data"), sources=8)
    threads = torch.get_num_threads()
    for seed in SEEDS:
        config = config_for(data, folder.parent, steps=3)
        words = ["--config", str(config), "--run-dir", str(folder / f"seed_{seed}"), "--seed", seed]
        assert train([*words, "--device", "cpu"]) == 0
    torch.set_num_threads(threads)
    return folder


def test_a_mean_becomes_a_row_like_any_condition(members: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--members", f"{members}/seed_*", "--device", "cpu"]
    assert main(command) == 0
    run = members.with_name("student_baseline_mean")
    rows = rows_of(run / "test.csv")
    assert [row["source"] for row in rows[-2:]] == ["macro", "pooled"]
    assert {row["weights"] for row in rows} == {"last"}
    assert all(rows[-1][name] for name in ("iou", "ece_fg", "ece_fg_scaled", "objects", "temperature"))
    assert rows_of(run / "predictions/calibration.csv")
    told = json.loads((run / "provenance.json").read_text())["inputs"]
    assert list(told) == ["seed_3", "seed_13"]
    assert main(command) == 0
    assert "finished already" in capsys.readouterr().out


def test_stored_probabilities_are_the_mean_of_the_members(members: Path, tmp_path: Path) -> None:
    assert main(["--members", f"{members}/seed_*", "--run-dir", str(tmp_path), "--device", "cpu"]) == 0
    kept = [sorted((members / f"seed_{seed}/predictions").glob("*.npz")) for seed in SEEDS]
    for files in zip(*kept, strict=True):
        mine = np.load(tmp_path / "predictions" / files[0].name)["probability"]
        theirs = [np.load(file)["probability"] for file in files]
        assert np.abs(mine - np.mean(theirs, axis=0)).max() < 1e-6


def test_the_mean_of_one_network_is_that_network_and_sure_ones_stay_sure() -> None:
    class Said(torch.nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = torch.nn.Parameter(torch.tensor(value))

        def forward(self, image: torch.Tensor) -> Output:
            return Output(self.value.expand_as(image))

    image = torch.zeros(1, 1, 2, 2)
    assert torch.allclose(MeanProbability([Said(0.7)])(image).logits, torch.full_like(image, 0.7))
    two = MeanProbability([Said(-1.0), Said(2.0)])(image).logits
    expected = (torch.sigmoid(torch.tensor(-1.0)) + torch.sigmoid(torch.tensor(2.0))) / 2
    assert torch.allclose(torch.sigmoid(two), expected.expand_as(image))
    assert torch.equal(MeanProbability([Said(50.0), Said(50.0)])(image).logits, torch.full_like(image, 50.0))
    with pytest.raises(ValueError, match="at least one"):
        MeanProbability([])


def test_members_that_do_not_fit_are_one_sentence_each(
    members: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--members", f"{tmp_path}/seed_*"]) == 2
    assert "no run folder matches. Train the members first" in capsys.readouterr().err
    for name in ("seed_1", "seed_2"):
        subprocess.run(["cp", "-a", str(members / "seed_3"), str(tmp_path / name)], check=True)
    (tmp_path / "seed_1/test.csv").unlink()
    assert main(["--members", f"{tmp_path}/seed_*"]) == 2
    assert "has not come to its end" in capsys.readouterr().err
    subprocess.run(["cp", str(members / "seed_3/test.csv"), str(tmp_path / "seed_1")], check=True)
    config = tmp_path / "seed_2/config.yaml"
    config.write_text(config.read_text().replace("size_px: 32", "size_px: 48"))
    assert main(["--members", f"{tmp_path}/seed_*"]) == 2
    assert "its settings of `data` are not those of" in capsys.readouterr().err


def test_check_needs_no_torch_and_writes_nothing(members: Path, tmp_path: Path) -> None:
    command = ["--members", f"{members}/seed_*", "--run-dir", str(tmp_path / "run"), "--check"]
    script = (
        "import sys; from pkgs.ensemble.__main__ import main; "
        f"sys.exit(main({command!r}) or 'torch' in sys.modules)"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    assert "2 members and their data are fine" in asked.stdout
    assert not (tmp_path / "run").exists()
