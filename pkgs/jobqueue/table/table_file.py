"""Jobs.csv on the disk: read when it changed, trusted when it has settled, replaced without loss.

What the rows mean is jobs_file.py's business. All that write the file hold the lock beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, final

import filelock

from pkgs.foundation.files import read_json, sync_folder, write_whole
from pkgs.jobqueue.table.half_saves import lost_names, may_be_half
from pkgs.jobqueue.table.table import Table
from pkgs.jobqueue.table.table_parser import parse
from pkgs.jobqueue.table.table_swap import exchange
from pkgs.jobqueue.table.table_text import TableError

SETTLE_S: Final = 1.0
"""So long a suspicious file must stay the same before it counts."""
_LATE_WATCH_S: Final = 60.0
"""So long after a write of ours an editor may still write into the file that we replaced."""
_TICK_NS: Final = 100_000_000
"""Two saves within one tick of the file system's clock can look the same; a tick is 4 to 10 ms."""
_LARGEST: Final = 1 << 30  # bytes
_LOCK_TIMEOUT_S: Final = 10.0


class TableFileError(ValueError):
    """The file cannot be used: where, what is wrong, what to do."""


class LockTimeoutError(TableFileError):
    """Another writer holds the lock."""


class Signature(NamedTuple):
    """Tells by one stat whether a file may have changed."""

    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the file showed; all empty when nothing is new."""

    table: Table | None = None
    """The new content, if it changed and is trusted."""
    late: Table | None = None
    """What an editor wrote into the file that we had replaced: a user's save of an older version."""


@dataclass(slots=True)
class _Pending:
    """A content that must be seen twice."""

    digest: bytes
    signature: Signature | None
    since: float
    fault: str | None
    told: bool = False


@final
class TableFile:
    """One Jobs.csv.

    Args:
        path: The file, or a link to it; it is written through the link. Its folder must exist.
        settle_s: How long a suspicious content must stay the same before it counts.
    """

    def __init__(self, path: Path, *, settle_s: float = SETTLE_S) -> None:
        self.name = path.name
        self._given = path
        self._settle_s = settle_s
        self.problem: str | None = None
        """Why the file on disk is not in force, with the line; None when it is."""
        self._table: Table | None = None
        self._digest = b""
        self._signature: Signature | None = None
        self._racy = False
        self._pending: _Pending | None = None
        self._previous: Signature | None = None
        self._previous_until = 0.0
        self._late: _Pending | None = None
        self._leftover: Table | None = None
        self._tidied = False
        self._now = 0.0

    @property
    def path(self) -> Path:
        """The file itself, links followed."""
        return Path(os.path.realpath(self._given))

    def beside(self, suffix: str) -> Path:
        """Return the path of a hidden companion, for example `.Jobs.csv.lock`."""
        path = self.path
        return path.with_name(f".{path.name}.{suffix}")

    @contextmanager
    def locked(self, *, timeout_s: float = _LOCK_TIMEOUT_S) -> Iterator[None]:
        """Hold the lock that every writer of ours takes.

        Raises:
            LockTimeoutError: If another writer holds it for longer than `timeout_s`.
            TableFileError: If the folder cannot be written.
        """
        lock = filelock.FileLock(str(self.beside("lock")), timeout=timeout_s, mode=0o666)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise LockTimeoutError(
                f"{self.name} is locked by another writer ({self.beside('lock')}). Try again."
            ) from None
        except OSError as error:
            raise TableFileError(
                f"{self.name} cannot be locked: {error.strerror}. Make {self.path.parent} writable."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def load(self) -> Table:
        """Return the table as it stands on the disk, or raise; for commands, which cannot wait and see.

        Raises:
            TableFileError: If there is no file, or it is not a readable table; with line and cure.
        """
        for _ in range(20):
            data, signature = self._read()
            age_ns = time.time_ns() - signature.mtime_ns
            if not 0 <= age_ns < _TICK_NS // 2 or self._is_ours(data):
                break
            time.sleep(0.05)  # an editor may be in the middle of its save
        try:
            table = parse(data, previous=self._table)
        except TableError as error:
            raise TableFileError(f"{self.name}, {error}") from None
        self._accept(table, data, signature)
        return table

    def look(self, now: float) -> Look:
        """Return what is new since the last look. Costs one stat when nothing is (two after a write).

        A file that does not parse, lost rows, or ends within a row may be half saved: it counts when a
        second look, `settle_s` later, shows the same bytes. Until then, and for good where it does not
        parse, the last good version stays in force and `problem` says why.
        """
        self._now = now
        late = self._look_late(now) if self._tidied else self._tidy()
        try:
            signature = self._stat()
            if self._same(signature, now):
                return Look(late=late)
            data, signature = self._read()
            if signature.mtime_ns < 0:  # written while we read; the next look reads again
                return Look(late=late)
        except TableFileError as error:
            self._suspect(str(error).encode(), None, now=now, fault=str(error))
            return Look(late=late)
        return Look(table=self._judge(data, signature, now), late=late)

    @property
    def table(self) -> Table | None:
        """The version in force, as it stands on the disk."""
        return self._table

    @property
    def settled(self) -> bool:
        """True if the file on the disk is the table in force, as far as the last look saw."""
        return self._table is not None and self._pending is None and self._late is None

    def replace(self, table: Table, *, seen: Table) -> bool:
        """Put `table` in the file's place, durably; the caller holds the lock.

        Mode, owner and links stay. The replaced file is kept as `.Jobs.csv.previous` and watched for a
        while: an editor that had it open may still write into it.

        Args:
            table: The new content.
            seen: The content from which it was made.

        Returns:
            False if the file is no longer `seen`: an editor saved meanwhile. His save stands; look again.

        Raises:
            OSError: If there is no room or no permission; the old file is then untouched.
        """
        path, following = self.path, self.beside("next")
        if not self._may_replace():
            return False
        data = table.render()
        signature = self._draft(data, following)
        try:
            swapped = exchange(following, path)
            if not swapped:
                self._replace_without_exchange(path, following)
        except FileNotFoundError:  # vim moves the file away before it writes the new one
            following.unlink(missing_ok=True)
            return False
        kept = following if swapped else self.beside("previous")
        if not self._holds(kept, seen.render()):
            self._put_back(path, kept, signature)
            return False
        previous = self.beside("previous")
        self._previous = _signature_of(kept.stat())
        if swapped:
            following.replace(previous)
        self._previous_until = self._now + _LATE_WATCH_S
        sync_folder(path.parent)
        self._accept(table, data, signature)
        return True

    def create(self, table: Table) -> None:
        """Write a file that does not exist yet; the caller holds the lock."""
        write_whole(self.path, table.render())
        self._accept(table, table.render(), self._stat())

    def note_edit(self, table: Table, ids: Collection[str]) -> None:
        """Note that `table`, about to be written, is the newest version with these rows edited by a command.

        A word that a row had before is then no stale save; without `rev` nothing else could tell.
        """
        digest = _digest(table.render()).hex()
        noted = {"digest": digest, "ids": sorted({*ids, *self.noted_edits()})}
        write_whole(self.beside("edits"), json.dumps(noted))

    def noted_edits(self) -> frozenset[str]:
        """Return the ids that commands edited, if the content in force is exactly what they wrote."""
        noted = read_json(self.beside("edits"))
        if isinstance(noted, dict) and noted.get("digest") == self._digest.hex():
            ids = noted.get("ids")
            if isinstance(ids, list):
                return frozenset(map(str, ids))
        return frozenset()

    # reading

    def _stat(self) -> Signature:
        path = self.path
        try:
            status = path.stat()
        except FileNotFoundError:
            raise TableFileError(self._missing()) from None
        except OSError as error:
            raise TableFileError(f"{self.name} cannot be read: {error.strerror}. Mend the path.") from None
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a plain file"
            raise TableFileError(f"{self.name} is {kind}. Move it away, or name the table with --jobs.")
        if status.st_size > _LARGEST:
            raise TableFileError(f"{self.name} has {status.st_size:,} bytes; that is no table of jobs.")
        return _signature_of(status)

    def _missing(self) -> str:
        if self._given.is_symlink():
            return f"{self.name} is a link to {self.path}, which does not exist. Mend the link."
        return f"{self.name} does not exist. Write it, or name the table with --jobs."

    def _read(self) -> tuple[bytes, Signature]:
        before = self._stat()
        try:
            with self.path.open("rb") as file:
                data = file.read()
                after = _signature_of(os.fstat(file.fileno()))
        except OSError as error:
            raise TableFileError(
                f"{self.name} cannot be read: {error.strerror}. Check its permissions with `ls -l`."
            ) from None
        if after != before:
            return data, Signature(-1, len(data), after.inode)
        return data, after

    def _is_ours(self, data: bytes) -> bool:
        return _digest(data) == self._digest

    def _same(self, signature: Signature, now: float) -> bool:
        """Return whether this stat says that there is nothing new to read."""
        if self._pending is None:
            return signature == self._signature and not self._racy
        waiting = now - self._pending.since < self._settle_s
        return signature == self._pending.signature and not self._racy and (waiting or self._pending.told)

    def _judge(self, data: bytes, signature: Signature, now: float) -> Table | None:
        digest = _digest(data)
        self._racy = _is_racy(signature)
        if digest == self._digest:
            self._signature, self._pending, self.problem = signature, None, None
            return None
        try:
            table = parse(data, previous=self._table)
        except TableError as error:
            self._suspect(digest, signature, now=now, fault=f"{self.name}, {error}")
            return None
        lost = self._table is not None and lost_names(self._table, table)
        if lost:
            self._suspect(digest, signature, now=now, fault=f"{self.name}, line 1: {lost}")
            return None
        half = self._table is not None and may_be_half(self._table, table)
        if half and not self._suspect(digest, signature, now=now, fault=None):
            return None
        self._accept(table, data, signature)
        return table

    def _suspect(self, digest: bytes, signature: Signature | None, *, now: float, fault: str | None) -> bool:
        """Note a suspicious content; return whether it has been seen twice, long enough apart."""
        pending = self._pending
        if pending is None or pending.digest != digest:
            pending = self._pending = _Pending(digest, signature, now, fault)
        pending.signature = signature
        if self._table is not None and now - pending.since < self._settle_s:
            return False
        pending.told = True
        if fault is not None:
            self.problem = fault
        return True

    def _accept(self, table: Table, data: bytes, signature: Signature) -> None:
        self._table, self._digest, self._signature = table, _digest(data), signature
        self._racy = _is_racy(signature)
        self._pending, self.problem = None, None

    # what editors write into a file that we have replaced

    def _look_late(self, now: float) -> Table | None:
        if self._previous is None or (now > self._previous_until and self._late is None):
            return None
        try:
            signature = _signature_of(self.beside("previous").stat())
        except FileNotFoundError:
            signature = self._previous
        if signature.inode != self._previous.inode:  # a command has replaced the file meanwhile
            self._previous, self._late = None, None
            return None
        if signature == self._previous:
            self._late = None
            return None
        if self._late is None or self._late.signature != signature:
            self._late = _Pending(b"", signature, now, None)
        if now - self._late.since < self._settle_s:
            return None
        self._previous, self._late = signature, None
        return _parsed(self.beside("previous"))

    def _tidy(self) -> Table | None:
        """Remove what a crash left; return the table of a file that may hold an editor's save."""
        try:
            with self.locked(timeout_s=0):  # else it may be another writer's work in progress
                self._tidied = True
                self.beside("draft").unlink(missing_ok=True)
                following = self.beside("next")
                if not following.exists():
                    return None
                table = _parsed(following)
                following.replace(self.beside("previous"))
                return table
        except LockTimeoutError:
            return None
        except (TableFileError, OSError):  # a folder that we may only read has no leftovers of ours
            self._tidied = True
            return None

    # writing

    def _may_replace(self) -> bool:
        if self._late is not None:
            return False
        try:
            signature = self._stat()
            previous = self.beside("previous")
            if self._previous is not None and self._now <= self._previous_until and previous.exists():
                kept = _signature_of(previous.stat())
                if kept.inode == self._previous.inode and kept != self._previous:
                    return False
        except (FileNotFoundError, TableFileError):
            return False
        return signature == self._signature

    def _draft(self, data: bytes, following: Path) -> Signature:
        draft, old = self.beside("draft"), self.path.stat()
        if not os.access(self.path, os.W_OK):
            raise PermissionError(13, "no write permission", str(self.path))
        try:
            with draft.open("wb") as file:
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
                _keep_owner(file.fileno(), old)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                signature = _signature_of(os.fstat(file.fileno()))
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        draft.replace(following)
        return signature

    def _replace_without_exchange(self, path: Path, following: Path) -> None:
        previous = self.beside("previous")
        previous.unlink(missing_ok=True)
        os.link(path, previous)
        following.replace(path)

    def _holds(self, kept: Path, data: bytes) -> bool:
        return kept.stat().st_size == len(data) and kept.read_bytes() == data

    def _put_back(self, path: Path, kept: Path, ours: Signature) -> None:
        """Undo a replacement: the editor's save comes back to its place, ours is watched in its stead."""
        previous = self.beside("previous")
        if kept == previous:
            kept.replace(path)
            return
        try:
            exchange(kept, path)
            if kept.stat().st_ino != ours.inode:  # yet another save by rename: the newest one stays
                exchange(kept, path)
        except FileNotFoundError:  # moved away by vim, which writes a new file now
            pass
        kept.replace(previous)
        self._previous, self._previous_until = ours, self._now + _LATE_WATCH_S
        sync_folder(path.parent)


def _signature_of(status: os.stat_result) -> Signature:
    return Signature(status.st_mtime_ns, status.st_size, status.st_ino)


def _is_racy(signature: Signature) -> bool:
    return signature.mtime_ns < 0 or abs(time.time_ns() - signature.mtime_ns) < _TICK_NS


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _parsed(path: Path) -> Table | None:
    try:
        return parse(path.read_bytes())
    except (OSError, TableError):
        return None


def _keep_owner(descriptor: int, old: os.stat_result) -> None:
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) == (old.st_uid, old.st_gid):
        return
    try:
        os.fchown(descriptor, old.st_uid, old.st_gid)
    except PermissionError:  # only root may give a file away; the group at least lets its members go on
        if mine.st_gid != old.st_gid and old.st_gid in os.getgroups():
            os.fchown(descriptor, -1, old.st_gid)
