"""All rows of Jobs.csv as they stand on the disk, for commands: no memory, no merge, nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pkgs.jobqueue.table.jobs_file import JobsFile, RowNews
from pkgs.jobqueue.table.merge import DictMemory
from pkgs.jobqueue.table.table_file import TableFile, TableFileError


def read_rows(path: Path) -> Sequence[RowNews]:
    """Return every row with its id, its job and what is wrong with it.

    Raises:
        TableFileError: If the file is missing or is no table; with the line and the cure.
    """
    file = TableFile(path)
    news = JobsFile(file, DictMemory()).reread(0.0)
    if news is None or news.problem is not None:
        raise TableFileError(news.problem if news is not None and news.problem else f"{path} cannot be read.")
    return news.rows
