"""Whether a table may be a save that is still under way, or one that lost what names its rows."""

from __future__ import annotations

from pkgs.jobqueue.table.table import Row, Table


def lost_names(old: Table, new: Table) -> str:
    """Return what is wrong if `new` cannot tell which row is which job of `old`."""
    if new.headerless and not old.headerless:
        return "the line that names the columns is gone. Put it back."
    if old.has("id") and not new.has("id") and any(old.cells_of(row).id for row in old.rows):
        return "the column 'id' is gone, and with it which row is which job. Put it back."
    return ""


def may_be_half(old: Table, new: Table) -> bool:
    """Return whether `new` lacks rows of `old`, or ends within a row: a save may be under way."""
    open_end = new.rows and new.places[-1] == len(new.pieces) - 1 and new.pieces[-1][-1:] not in "\n\r"
    if open_end and new.rows[-1] not in set(old.rows[-1:]):
        return True
    if len(new.rows) < len(old.rows):
        return True
    here = set(new.rows)
    lost = [row for row in old.rows if row not in here]
    if not lost:
        return False
    there = set(old.rows)
    keys = {_key(new, row) for row in new.rows if row not in there}
    return any(_key(old, row) not in keys for row in lost)


def _key(table: Table, row: Row) -> str:
    """Return what tells a row from the others: its id, else its command."""
    cells = table.cells_of(row)
    return cells.id or cells.command
