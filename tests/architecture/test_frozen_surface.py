"""What users depend on. Adding is a conscious edit of these lists; removing needs a line in the CHANGELOG."""

import subprocess
from pathlib import Path

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands import VERBS
from pkgs.jobqueue.manager.settings import Settings, load_settings
from pkgs.jobqueue.table.table import COLUMNS
from pkgs.jobqueue.vocabulary import Cause, JobStatus, Wish

ROOT = Path(__file__).parents[2]


def shipped_table() -> str:
    """Return Jobs.csv as it is shipped: in a checkout that was used the manager has written into it."""
    asked = subprocess.run(
        ["git", "show", "HEAD:Jobs.csv"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout if asked.returncode == 0 else (ROOT / "Jobs.csv").read_text()


def test_the_columns_of_jobs_csv() -> None:
    assert COLUMNS == (
        "id", "status", "command", "seeds", "conditions", "after", "gpus", "gpu_mem", "priority", "retries",
        "timeout", "progress", "message", "rev",
    )  # fmt: skip


def test_the_shipped_table_has_exactly_these_columns_and_all_rows_open() -> None:
    header, *rows = shipped_table().splitlines()
    assert tuple(header.split(",")) == COLUMNS
    assert rows
    assert all(row.split(",")[1] == "open" for row in rows)


def test_the_words_of_the_status_column() -> None:
    assert set(Wish) == {"open", "hold", "cancel", "rerun", "completed"}
    assert set(JobStatus) == {"open", "running", "completed", "failed", "cancelled", "hold", "cancel"}


def test_the_commands() -> None:
    assert VERBS == (
        "run", "status", "why", "logs", "add", "hold", "release", "cancel", "rerun", "retry", "check", "plan",
        "report", "doctor",
    )  # fmt: skip


def test_the_exit_codes() -> None:
    codes = (exit_codes.OK, exit_codes.FAILED, exit_codes.USAGE, exit_codes.INTERRUPTED, exit_codes.STOPPED)
    assert codes == (0, 1, 2, 130, 143)
    assert exit_codes.NAN == 81


def test_the_causes_of_failure() -> None:
    assert [cause.value for cause in Cause] == [
        "GPU out of memory", "host out of memory", "killed from outside", "machine rebooted",
        "lost by the manager", "GPU lost or CUDA error", "disk full", "timeout", "no progress",
        "loss became NaN", "bad config or missing file", "error in the code", "cancelled",
    ]  # fmt: skip


def test_the_shipped_settings_are_the_defaults_so_that_the_file_documents_them() -> None:
    path = ROOT / "configs" / "queue.yaml"
    assert load_settings(path) == Settings()
    assert set(Settings.model_fields) == {
        line.partition(":")[0] for line in path.read_text().splitlines() if line[:1].isalpha()
    }


def test_the_entry_point_stays_thin() -> None:
    assert len((ROOT / "QueueManager.py").read_text().splitlines()) < 40
