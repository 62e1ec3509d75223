"""The folder of packed files: who may make, use, seal and remove one. All agreements are locks of the kernel.

`<key>.filling` is being filled by processes of this boot; `<key>.cache` is sealed: complete, synced, renamed.
Whoever uses a file holds a shared lock on it, whoever removes it an exclusive one. `<key>.lock` is held while
a file is made or sealed. A killed process leaves nothing locked.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pkgs.data.cache.blueprint import Blueprint, create
from pkgs.data.cache.header import BadFileError
from pkgs.data.cache.packed_file import PackedFile
from pkgs.data.cache.room import NETWORK, NoPlaceError, Room, readable
from pkgs.foundation.files import sync_folder

log = logging.getLogger(__name__)

SEALED: Final = ".cache"
FILLING: Final = ".filling"
DRAFT: Final = ".draft"
LOOK_EVERY_S: Final = 0.05
"""Between two looks at a lock that another process holds while it reads all headers."""
CURE: Final = (
    "Free some room, set cache.folder to a larger local disk, or lower the size of the data; "
    "until then every file is read each time (mode disk)."
)


def read_boot_id() -> str:
    """Return what changes at each start of the machine; empty where Linux does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def nothing() -> None:
    """Beat no heart."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of packed files with a limit to their size. Pickles; holds nothing open."""

    folder: Path
    budget_bytes: int
    keep_free_bytes: int = 0
    room: Room = field(default_factory=Room)
    boot: str = field(default_factory=read_boot_id)

    def obtain(
        self, key: str, *, draw: Callable[[], Blueprint], tick: Callable[[], None] = nothing
    ) -> PackedFile:
        """Return the packed file of `key`, made anew if there is none.

        Args:
            key: Digest of all that the values depend on.
            draw: Reads all file headers; called only if the file must be made, by one process of all.
            tick: Called while another process does.

        Raises:
            NoPlaceError: Says why there is none, and the cure.
        """
        try:
            found = self.find(key)
            if found is not None:
                return found
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked(key, tick):
                return self.find(key, discard=True) or self._make(key, draw())
        except OSError as error:
            reason = error.strerror or error
            raise NoPlaceError(f"{self.folder}: {reason}, so nothing can be kept there. {CURE}") from error

    def find(self, key: str, *, discard: bool = False) -> PackedFile | None:
        """Return the packed file of `key`, held by a shared lock; None if there is no sound one.

        Args:
            key: As in `obtain`.
            discard: Whether one that is damaged or of another boot is removed; the key is locked then.
        """
        for ending in (SEALED, FILLING, SEALED):  # it may be sealed between the first two looks
            path = self.folder / f"{key}{ending}"
            opened, wrong = None, ""
            try:
                opened = self._open(path, key)
            except BadFileError as error:
                wrong = str(error)
            if wrong and discard:  # not above: the error's frames would hold the file, and its lock
                self._discard(path, why=wrong)
            if opened is not None:
                return opened
        return None

    def seal(self, file: PackedFile) -> bool:
        """Sync a complete file and give it its final name; return whether it has it."""
        draft, final = self.folder / f"{file.key}{FILLING}", self.folder / f"{file.key}{SEALED}"
        with self._locked(file.key, nothing):
            if not self._is(draft, file.descriptor):
                return self._is(final, file.descriptor)
            os.fsync(file.descriptor)
            draft.rename(final)
            sync_folder(self.folder)
        return True

    def is_sealed(self, file: PackedFile) -> bool:
        return self._is(self.folder / f"{file.key}{SEALED}", file.descriptor)

    def _open(self, path: Path, key: str) -> PackedFile | None:
        while True:
            try:
                descriptor, writable = _open_descriptor(path, write=path.suffix == FILLING)
            except FileNotFoundError:
                return None
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if self._is(path, descriptor):
                break
            os.close(descriptor)  # removed or sealed between the two calls
        if writable or path.suffix == SEALED:
            with suppress(OSError):
                os.utime(descriptor)  # the time of last use, for eviction
        file = PackedFile(descriptor, writable=writable)
        if file.key != key:
            raise BadFileError(f"it holds the key {file.key}")
        if path.suffix == FILLING and file.boot != self.boot:
            raise BadFileError("the machine stopped while it was filled")
        return file

    def _make(self, key: str, blueprint: Blueprint) -> PackedFile:
        nbytes = blueprint.front()[2]
        if self.room.filesystem_of(self.folder) in NETWORK:
            log.warning(
                "The data cache %s lies on a network disk: slow, and machines cannot share it. "
                "Set cache.folder to a local disk.", self.folder,
            )  # fmt: skip
        draft = self.folder / f"{key}.{os.getpid()}{DRAFT}"
        with self._locked("shelf", nothing):  # two files made at once must not both take the last room
            self._clear(nbytes)
            draft.unlink(missing_ok=True)
            descriptor = create(draft, blueprint, reserve=self.room.reserve)
        path = self.folder / f"{key}{FILLING}"
        draft.rename(path)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return PackedFile(descriptor, writable=True)

    def _clear(self, nbytes: int) -> None:
        """Remove the longest unused files until `nbytes` more fit.

        Raises:
            NoPlaceError: If they do not fit even then.
        """
        files = sorted(self._files(), key=lambda found: found[1].st_mtime_ns)
        for path, _ in files:
            if path.suffix == DRAFT:
                self._remove(path)  # its maker was killed, or holds it locked
        used = sum(seen.st_blocks * 512 for path, seen in files if path.suffix != DRAFT)
        for path, seen in files:
            if used + nbytes <= self.budget_bytes and self._fits(nbytes):
                return
            if path.suffix != DRAFT and self._remove(path):
                log.info("cache evicted file=%s bytes=%d", path, seen.st_size)
                used -= seen.st_blocks * 512
        if used + nbytes > self.budget_bytes:
            raise NoPlaceError(
                f"{self.folder}: the packed file needs {readable(nbytes)}, but cache.budget_gib allows "
                f"{readable(self.budget_bytes)}, of which running jobs use {readable(used)}. "
                "Raise cache.budget_gib; until then every file is read each time (mode disk)."
            )
        if not self._fits(nbytes):
            raise NoPlaceError(
                f"{self.folder}: the packed file needs {readable(nbytes)}, but only "
                f"{readable(self.room.available(self.folder))} are free, of which "
                f"{readable(self.keep_free_bytes)} are kept for others. {CURE}"
            )

    def _fits(self, nbytes: int) -> bool:
        return nbytes + self.keep_free_bytes <= self.room.available(self.folder)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            if path.suffix in {SEALED, FILLING, DRAFT}:
                with suppress(FileNotFoundError):
                    yield path, path.stat()

    def _discard(self, path: Path, *, why: str) -> None:
        if not self._remove(path):
            raise NoPlaceError(f"{path}: cannot be used, {why}, and another process holds it. {CURE}")
        log.warning("%s: discarded, %s. The samples are decoded anew.", path, why)

    def _remove(self, path: Path) -> bool:
        """Remove a file that nobody uses; return whether it is gone."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is(path, descriptor):
                path.unlink()
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    @contextmanager
    def _locked(self, name: str, tick: Callable[[], None]) -> Iterator[None]:
        """Hold `<name>.lock`; the empty file stays, as removing it would part those who wait from it."""
        path = self.folder / f"{name}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    tick()
                    time.sleep(LOOK_EVERY_S)
            yield
        finally:
            os.close(descriptor)

    @staticmethod
    def _is(path: Path, descriptor: int) -> bool:
        """Return whether `path` is still the name of the open file."""
        try:
            return os.path.samestat(path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False


def _open_descriptor(path: Path, *, write: bool) -> tuple[int, bool]:
    """Open for writing where wanted and allowed, else for reading."""
    if write:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC), True
        except FileNotFoundError:
            raise
        except OSError:  # another user's file, or a read-only disk: what is filled can be read
            log.debug("read only file=%s", path)
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False
    except PermissionError as error:
        raise BadFileError(f"it may not be read ({error.strerror})") from error
