"""The right to a device, machine-wide: two queues or two users never get the same card.

A lease is a shared flock on `<uuid>.lease` that every attempt on the card holds through an inherited
descriptor; the kernel drops it when the last holder is gone, whatever killed it. `<uuid>.guard` is held for
microseconds, so that asking and taking are one step. Which run gets which card is decided in plan.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar, final

T = TypeVar("T")

_GUARD_WAIT_S: Final = 0.5
"""A guard is held for microseconds; a process stopped in that moment must not stop us, too."""
_RETRY_S: Final = 0.002
_MOST_BYTES: Final = 4096
_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # no links, no waiting for a pipe


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a device; stands in the lease file for others to read."""

    root_id: str
    """The queue: the same for all managers and attempts of one root."""
    host: str = ""
    uid: int = -1
    user: str = ""
    pid: int = 0
    since_unix_s: float = 0.0
    alone: bool = False
    """The attempt wants no company, not even of its own queue."""

    def words(self) -> str:
        """Return the owner for people: `the queue of anna (process 4711, since 14:02)`."""
        since = time.strftime("%d %b %H:%M", time.localtime(self.since_unix_s)) if self.since_unix_s else "?"
        who = self.user or (f"user {self.uid}" if self.uid >= 0 else "somebody")
        return (
            f"the queue of {who} (process {self.pid or '?'} on {self.host or 'this machine'}, since {since})"
        )


UNKNOWN_OWNER: Final = Owner(root_id="")
"""Somebody holds the lease, but its file does not say who."""


@dataclass(frozen=True, slots=True)
class Held:
    """The lease cannot be had."""

    by: Owner | None
    """None: not because of a holder, see `why`."""
    why: str
    """In words, to go on after "leased by" where `by` is known."""


class LeaseError(ValueError):
    """The lease folder or a file in it cannot be used; the message says what to do."""


def default_folder(
    *,
    preferred: Path = Path("/run/lock"),
    fallback: Path = Path("/tmp"),  # noqa: S108 - the one other folder that all users share
) -> Path:
    """Return the folder that all users of the machine share: in `preferred` where everybody may write.

    `/run/lock` is emptied by a reboot and by nothing else; in `/tmp` old files may be cleaned away (see
    `refresh`).
    """
    try:
        mode = preferred.stat().st_mode
    except OSError:
        mode = 0
    shared = mode & stat.S_ISVTX and mode & stat.S_IWOTH
    return (preferred if shared else fallback) / "queuemanager"


@final
class Leases:
    """All leases of one folder."""

    def __init__(self, folder: Path, *, prefix: str = "") -> None:
        """Use `folder`, which is made with the first lease.

        Args:
            folder: The same for everybody on the machine.
            prefix: Put before the names; a root's own id keeps its pretended cards apart from those of other
                roots.
        """
        self._folder = folder
        self._prefix = prefix

    def acquire(self, uuid: str, owner: Owner, *, alone: bool) -> int | Held:
        """Take the device, or join attempts of the same queue that already share it.

        Returns:
            A descriptor that holds the lease: pass it on to the attempt (`pass_fds`), then close it. Never
            unlock it: that would unlock it for the attempt, too. Or who has the device.

        Raises:
            LeaseError: If the folder or file cannot be used.
        """
        path = self._path(uuid, "lease")
        with self._guard(uuid) as guarded:
            if not guarded:
                return Held(
                    None, f"somebody who asks for it at this moment and does not go on ({path}.guard)"
                )
            lease = self._open(path)
            if _lock(lease, fcntl.LOCK_EX):
                _write(lease, asdict(owner) | {"alone": alone})
                fcntl.flock(lease, fcntl.LOCK_SH)  # nobody can come between: all of them ask under the guard
                return lease
            holder = _read(lease)
            if (
                holder.root_id == owner.root_id
                and not (alone or holder.alone)
                and _lock(lease, fcntl.LOCK_SH)
            ):
                return lease
            os.close(lease)
            return Held(holder, holder.words())

    def holder(self, uuid: str) -> Owner | None:
        """Return who holds the device, `UNKNOWN_OWNER` when that cannot be told, None when nobody does.

        Raises:
            LeaseError: If the folder or file cannot be used.
        """
        path = self._path(uuid, "lease")
        if not path.exists():
            return None
        with self._guard(uuid) as guarded:
            if not guarded:
                return UNKNOWN_OWNER
            lease = self._open(path)
            try:
                if not _lock(lease, fcntl.LOCK_EX):
                    return _read(lease)
                fcntl.flock(lease, fcntl.LOCK_UN)  # likewise
                return None
            finally:
                os.close(lease)

    def refresh(self, uuid: str) -> None:
        """Make the lease's files look recent, so that cleaners of `/tmp` spare them; once a day is enough."""
        for kind in ("lease", "guard"):
            try:
                os.utime(self._path(uuid, kind), follow_symlinks=False)
            except FileNotFoundError:
                continue
            except PermissionError:  # another user's file: their manager refreshes it
                continue

    def _path(self, uuid: str, kind: str) -> Path:
        name = "".join(
            letter if letter.isalnum() or letter in "-_." else "_" for letter in self._prefix + uuid
        )
        return self._folder / f"{name}.{kind}"

    @contextmanager
    def _guard(self, uuid: str) -> Iterator[bool]:
        """Hold the device's guard; yields False when it could not be had in time."""
        guard = self._open(self._path(uuid, "guard"))
        try:
            yield _within(_GUARD_WAIT_S, lambda: _lock(guard, fcntl.LOCK_EX) or None) is not None
        finally:
            fcntl.flock(guard, fcntl.LOCK_UN)  # said aloud: a child forked meanwhile must not keep it
            os.close(guard)

    def _open(self, path: Path) -> int:
        """Open a lease file, made when it is missing."""
        descriptor = _within(_GUARD_WAIT_S, lambda: self._try_open(path))
        if descriptor is None:
            raise LeaseError(
                f"The lease file {path} cannot be opened for writing, so no device can be handed out safely. "
                f"Everybody must be able to write to it and to its folder: `chmod 1777 {path.parent}` and "
                f"`chmod 666 {path}` by their owner, or another lease_folder in configs/queue.yaml, the same "
                "for all."
            )
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise LeaseError(f"{path} is not a plain file. Remove it, or set another lease_folder.")
        return descriptor

    def _try_open(self, path: Path) -> int | None:
        """Return None when it may work a moment later: somebody else is just making file or folder."""
        try:
            # Without O_CREAT: with it the kernel refuses files of others in a sticky folder
            # (fs.protected_regular).
            return os.open(path, _OPEN)
        except FileNotFoundError:
            self._create(path)
            return None
        except PermissionError:
            return None
        except OSError as error:
            raise LeaseError(f"The lease file {path} cannot be used: {error.strerror}. Remove it.") from error

    def _create(self, path: Path) -> None:
        """Make folder and file so that nobody ever sees the file with narrower rights."""
        try:
            if not self._folder.is_dir():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._folder.chmod(0o1777)  # sticky: nobody removes another's files
            descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=f".{path.name}.")
        except PermissionError:
            return  # somebody else is just making the folder, or it is not for us: the next tries tell
        except OSError as error:
            raise LeaseError(
                f"The lease folder {self._folder} cannot be used: {error.strerror}. Set another lease_folder "
                "in configs/queue.yaml, the same for all queues of this machine."
            ) from error
        try:
            os.fchmod(descriptor, 0o666)
            os.link(draft, path)
        except FileExistsError:
            return  # somebody else was first
        finally:
            os.close(descriptor)
            Path(draft).unlink()


def _within(limit_s: float, attempt: Callable[[], T | None]) -> T | None:
    """Try until there is an answer or the time is over."""
    end_s = time.monotonic() + limit_s
    while (answer := attempt()) is None and time.monotonic() < end_s:
        time.sleep(_RETRY_S)
    return answer


def _lock(descriptor: int, kind: int) -> bool:
    """Take a lock without waiting; tell whether that worked."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, owner: dict[str, object]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _read(descriptor: int) -> Owner:
    """Return the owner in the file; anybody may have written anything there."""
    try:
        raw = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
        return Owner(
            root_id=str(raw["root_id"]),
            host=_plain(raw["host"]),
            uid=int(raw["uid"]),
            user=_plain(raw["user"]),
            pid=int(raw["pid"]),
            since_unix_s=float(raw["since_unix_s"]),
            alone=bool(raw["alone"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        return UNKNOWN_OWNER


def _plain(text: object) -> str:
    return "".join(letter for letter in str(text)[:64] if letter.isprintable())
