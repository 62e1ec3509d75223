"""The shipped `expansion` on a pool in CEM1.5M's layout that no study made: one setting away."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
import torch

from pkgs.data.items import Item, Sample
from pkgs.data.readers.cem_1500k import Cem1500k
from pkgs.student.__main__ import main
from tests.builders.joint_runs import write_joint_run
from tests.builders.small_phantom import write_small_phantom
from tests.builders.striped_pool import SOURCES, write_striped_pool
from tests.student.test_main import ROOT, own_signals_and_threads

__all__ = ["own_signals_and_threads"]
CONFIG = ROOT / "configs/ke/expansion.yaml"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the phantom, a pool of its own beside its labels, and a finished joint run."""
    folder = tmp_path_factory.mktemp("study")
    write_small_phantom(folder / "phantom")
    write_joint_run(folder / "runs/ke/joint/seed_3", seed=3)
    return folder


def split_of(study: Path) -> dict[str, str]:
    """Return in which part of the split each labelled sample stands."""
    (file,) = (study / "phantom/splits").glob("*.csv")
    with file.open(newline="") as text:
        return {row["sample"]: row["split"] for row in csv.DictReader(text)}


def expand(study: Path, pool: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_ROOT", str(study / "runs"))
    settings = (
        f"data.root={study / 'phantom'}", f"pool.root={pool}", "data.size_px=32",
        "training.length='4 steps'", "training.log_every='1 steps'", "expansion.monitor_images=6",
        "training.validate_every='4 steps'",
    )  # fmt: skip
    words = [word for text in settings for word in ("--set", text)]
    assert main(["--config", str(CONFIG), "--seed", "3", "--run-dir", str(run), *words]) == 0


def test_the_pool_is_read_from_the_other_folder_alone_without_what_val_and_test_know(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[Path] = []
    real = Cem1500k.read

    def seen(reader: Cem1500k, sample: Sample) -> Item:
        read.append(sample.files["image"])
        return real(reader, sample)

    monkeypatch.setattr(Cem1500k, "read", seen)
    expand(study, study / "phantom", tmp_path / "own", monkeypatch)  # writes the split, too
    assert {path.parts[-3] for path in read} == {"cem1.5M"}
    assert all(path.is_relative_to(study / "phantom") for path in read)
    read.clear()
    capsys.readouterr()

    split = split_of(study)
    judged = next(name for name in split if split[name] == "test")
    trained = next(name for name in split if split[name] == "train")
    files = {name: image_of(study, name) for name in (judged, trained)}
    copies = {
        "mirror/copy_of_test": files[judged],
        "mirror/copy_of_train": files[trained],
        f"{judged.partition('/')[0]}/of_a_judged_source": image_of(study, trained),
    }
    pool = write_striped_pool(tmp_path / "striped", copies=copies)
    expand(study, pool, tmp_path / "other", monkeypatch)

    assert read
    assert all(path.is_relative_to(pool) for path in read)
    ids = sorted(f"{path.parent.name}/{path.stem}" for path in (pool / "cem1.5M").glob("*/*.tiff"))
    kept = [name for name in ids if name not in ("mirror/copy_of_test", list(copies)[2])]
    assert {name.partition("/")[0] for name in kept} == {*SOURCES, "mirror"}
    assert f"2 of {len(ids)} unlabelled images left out" in capsys.readouterr().out
    state = torch.load(tmp_path / "other/checkpoints/last/state.pt", weights_only=True)
    assert state["followers"]["pool"]["digest"] == digest(kept)


def test_a_run_on_the_other_pool_tells_its_terms_and_knows_no_truth(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = write_striped_pool(tmp_path / "striped")
    expand(study, pool, tmp_path / "run", monkeypatch)
    assert f"root: {pool}" in (tmp_path / "run/config.yaml").read_text()
    with (tmp_path / "run/train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert float(rows[-1]["P"]) > 0
    assert float(rows[-1]["consistency"]) > 0
    with (tmp_path / "run/val.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert last["pool_predicted_error"]
    assert last["pool_real_error"] == ""


def image_of(study: Path, sample: str) -> Path:
    source, _, stem = sample.partition("/")
    (found,) = (study / f"phantom/CEM-MitoLab/cem_mitolab/{source}/images").glob(f"{stem}.*")
    return found


def digest(ids: list[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
