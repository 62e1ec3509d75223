"""The run folder's names are what users' scripts rely on: frozen here."""

from pathlib import Path

from pkgs.foundation.progress import Progress, read_progress, write_progress
from pkgs.foundation.run_folder import RunFolder, run_folders


def test_the_folder_is_id_then_condition_then_seed() -> None:
    root = Path("root")
    assert RunFolder.of(root, "ke/a").path == Path("root/ke/a")
    assert RunFolder.of(root, "ke/a", condition="x", seed=3).path == Path("root/ke/a/x/seed_3")


def test_the_names_inside_are_frozen() -> None:
    folder = RunFolder(Path())
    attempt = folder.attempt(2)
    names = [
        folder.config,
        folder.provenance,
        folder.progress,
        folder.train_csv,
        folder.val_csv,
        folder.test_csv,
    ]
    assert [str(name) for name in names] == [
        "config.yaml", "provenance.json", "progress.json", "train.csv", "val.csv", "test.csv",
    ]  # fmt: skip
    assert [str(name) for name in (attempt.launch, attempt.shim, attempt.output, attempt.exit)] == [
        "attempts/2/launch.json", "attempts/2/shim.json", "attempts/2/output.log", "attempts/2/exit.json",
    ]  # fmt: skip


def test_the_newest_attempt_is_the_highest_number_and_strangers_do_not_count(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.newest_attempt() == 0
    for name in ("2", "10", "notes"):
        (folder.attempts / name).mkdir(parents=True)
    assert folder.newest_attempt() == 10


def test_progress_reads_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    progress = Progress(step=3, steps=10, epoch=1, seconds_per_step=0.5, metrics={"loss": 0.25})
    write_progress(folder, progress)
    assert read_progress(folder) == progress
    folder.progress.write_text('{"steps": 10}')
    assert read_progress(folder) is None


def test_a_pattern_names_run_folders_and_none_that_a_rerun_has_set_aside(tmp_path: Path) -> None:
    for name in ("seed_3", "seed_3.1", "seed_13", "seed_3.12"):
        (tmp_path / name).mkdir()
    (tmp_path / "seed_notes").write_text("")
    found = run_folders(str(tmp_path / "seed_*"))
    assert [folder.name for folder in found] == ["seed_13", "seed_3"]
