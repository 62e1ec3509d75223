from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pkgs.reports.__main__ import main
from tests.builders.planned_studies import write_plan
from tests.builders.run_folders import MadeUp, write_run, write_study

ROOT = Path(__file__).parents[2]


def report(root: Path, *more: str, environment: dict[str, str] | None = None) -> int:
    return main(["ke", "--root", str(root), *more], environment=environment or {})


@pytest.fixture(scope="module", autouse=True)
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work in an empty folder: the plans of our own studies lie in the repository's `configs/`."""
    with contextlib.chdir(tmp_path_factory.mktemp("away")):
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a whole study with its report."""
    root = tmp_path_factory.mktemp("root")
    write_study(root)
    assert report(root) == 0
    return root


def test_a_report_holds_page_text_tables_and_figures(whole: Path) -> None:
    out = whole / "ke/report"
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    figures = (
        "test_results",
        "differences",
        "learning_curves",
        "overlay_student_baseline",
        "overlay_no_augment",
    )
    assert names == {
        "report.html",
        "report.md",
        *(f"tables/{table}.csv" for table in ("seeds", "comparisons", "sources", "runs", "problems")),
        *(f"figures/{figure}.{kind}" for figure in figures for kind in ("png", "svg")),
    }


def test_the_page_says_what_a_reader_needs(whole: Path) -> None:
    page = (whole / "ke/report/report.html").read_text()
    assert "2 conditions · 3 seeds · 6 of 6 runs completed" in page
    assert "synthetic data" in page
    assert "no_augment against student_baseline, 3 seeds: IoU" in page
    assert "With 3 paired seeds the smallest exact p is .25, so nothing can be confirmed" in page
    assert "best global threshold: IoU .300 in every seed" in page
    assert "Nothing: every condition has every seed" in page


def test_tables_hold_every_seeds_value_mean_sd_and_interval(whole: Path) -> None:
    table = pd.read_csv(whole / "ke/report/tables/seeds.csv")
    row = table[(table.metric == "iou") & (table.condition == "student_baseline") & (table.weights == "last")]
    values = row[["n", "seed_0", "seed_1", "seed_2", "mean", "sd", "t_low", "t_high"]].iloc[0]
    assert values.tolist() == pytest.approx([3, 0.80, 0.81, 0.82, 0.81, 0.01, 0.785159, 0.834841], abs=1e-6)


def test_a_second_report_gives_the_same_bytes_and_prints_its_sentences(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = whole / "ke/report"
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    assert report(whole) == 0
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    assert "no_augment against student_baseline, 3 seeds: IoU" in capsys.readouterr().out


def test_an_unfinished_study_is_reported_with_what_is_missing(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/student_baseline", seed=0)
    write_run(tmp_path, "ke/student_baseline", seed=1, run=MadeUp(code=1, tested=False))
    write_run(tmp_path, "ke/no_augment", seed=0, run=MadeUp(code=None, tested=False))
    assert report(tmp_path) == 0
    page = (tmp_path / "ke/report/report.html").read_text()
    assert "1 of 3 runs completed" in page
    assert "no_augment against student_baseline: IoU: no seed in common yet." in page
    assert "student_baseline, seed 1: exit code 1, at step 50 of 100." in page
    assert "no_augment: seed 1, which other conditions have." in page


def test_a_study_that_has_only_started_is_reported_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "ke/a", seed=0, run=MadeUp(code=None, tested=False))
    folder.train_csv.unlink()
    folder.val_csv.unlink()
    assert report(tmp_path) == 0
    assert "No run has test results yet" in (tmp_path / "ke/report/report.html").read_text()


def test_a_single_condition_says_that_there_is_nothing_to_compare(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/a", seed=0)
    assert report(tmp_path) == 0
    assert "There is one condition only" in (tmp_path / "ke/report/report.html").read_text()


def test_in_a_queue_the_run_folder_is_the_reports_place_and_never_a_run(tmp_path: Path) -> None:
    write_study(tmp_path)
    out = tmp_path / "ke/report"
    (out / "attempts/1").mkdir(parents=True)
    environment = {"QUEUE_RUN_DIR": str(out), "QUEUE_ROOT": str(tmp_path)}
    assert main(["ke"], environment=environment) == 0
    assert "report" not in set(pd.read_csv(out / "tables/runs.csv").condition)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["kee"], "Unknown study 'kee'. Did you mean 'ke'?"),
        (["ke", "--base", "no_augmnt"], "--base no_augmnt: Unknown condition"),
        (["empty"], "holds no training yet"),
        (["ke", "--plan", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    write_study(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main([*arguments, "--root", str(tmp_path)], environment={}) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "ke/report").exists()


def test_a_plan_beside_the_configs_of_the_study_is_found_and_a_base_sets_it_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "root")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/ke").mkdir(parents=True)
    families = [{"name": "all", "pairs": [["no_augment", "student_baseline"]]}]
    write_plan(tmp_path / "configs/ke/report.yaml", base="student_baseline", families=families)
    assert report(tmp_path / "root") == 0
    assert "(BCa " in capsys.readouterr().out
    assert report(tmp_path / "root", "--base", "no_augment") == 0
    told = capsys.readouterr().out
    assert "student_baseline against no_augment, 3 seeds: IoU" in told
    assert "(BCa " not in told


def test_a_place_that_cannot_be_written_is_a_sentence_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path)
    (tmp_path / "file").write_text("")
    assert report(tmp_path, "--out", str(tmp_path / "file")) == 1
    assert "The report cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["pkgs.reports", "utility.make_report"])
def test_the_commands_start(tmp_path: Path, module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module, "nothing", "--root", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("Unknown study 'nothing'. Studies in ")


def test_a_report_loads_neither_torch_nor_the_queue() -> None:
    code = (
        "import sys, pkgs.reports.build\n"
        "print([name for name in ('torch', 'pkgs.jobqueue', 'pkgs.training') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
