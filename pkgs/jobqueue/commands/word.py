"""What `hold`, `release`, `cancel` and `rerun` share: one word into the status of some rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pkgs.foundation import exit_codes
from pkgs.jobqueue.table.edits import set_status
from pkgs.jobqueue.table.table_file import TableFile


def write_status(jobs: Path, ids: Sequence[str], *, word: str) -> int:
    """Write `word` into the rows, safely beside a running manager and other editors, and say so."""
    set_status(TableFile(jobs), ids, word)
    print(f"{', '.join(ids)}: {word}")
    return exit_codes.OK
