"""Downloading one large file so that nothing is fetched twice: resumed after any stop, checked at its end.

    <goal>.part        what has come so far
    <goal>.part.json   of which address and version; another version starts anew
    checksums.sha256   in the folder of the set, as `sha256sum -c` reads it

Knows nothing of archives. Speaks HTTP by the standard library.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from pkgs.data.cache.room import free_bytes, readable
from pkgs.data.items import DataError
from pkgs.foundation.files import read_json, sync_folder, write_json, write_whole

BLOCK: Final = 2**20
TIMEOUT_S: Final = 60.0
"""Without a byte for so long the connection counts as dead."""
ATTEMPTS: Final = 6
"""In a row without a new byte; then the command gives up, and goes on when it is given again."""
KEEP_FREE: Final = 2**30
"""Bytes that stay free on the disk."""
RECORD: Final = "checksums.sha256"

Bar = Callable[[int, int], None]
"""Told how many bytes are there, and of how many; 0: nobody knows."""


class _Broken(Exception):  # noqa: N818 - not an error yet: it is tried again
    """The connection ended before the file did."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server says before the bytes."""

    begin: int
    """Number of the first byte that follows."""
    total: int
    """Bytes of the whole file; 0: unknown."""
    version: str
    """Of the file: an entity tag, or the time of its last change."""


def fetch(
    url: str,
    goal: Path,
    *,
    bar: Bar,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Download `url` to `goal`, from where an earlier call has stopped; what is there already stays.

    Args:
        url: http or https.
        goal: A file; its folder is made.
        bar: Told of the progress.
        attempts: In a row without a new byte; then it gives up.
        sleep: Waits between two attempts.

    Raises:
        DataError: If the address is wrong, the disk too small, or the connection breaks again and again.
        OSError: If the file cannot be written.
    """
    if not url.startswith(("https://", "http://")):
        raise DataError(f"{url}: is no web address; expected https://... .")
    goal.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(goal.with_name(f".{goal.name}.lock")):  # two calls must not write one file
        if goal.exists():
            return
        part, idle = goal.with_name(f"{goal.name}.part"), 0
        while True:
            before = _size(part)
            try:
                _go_on(url, part, goal=goal, bar=bar)
                break
            except (_Broken, OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and not _of_the_network(error):
                    raise
                idle = 0 if _size(part) > before else idle + 1
                if idle >= attempts:
                    raise DataError(_gave_up(url, part, error)) from None
                sleep(min(2.0**idle, 30.0))
        part.replace(goal)
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        sync_folder(goal.parent)


def sha256_of(path: Path, *, bar: Bar = lambda _done, _total: None) -> str:
    """Return the SHA-256 of a file in hex."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            bar(done, total)
    return digest.hexdigest()


def check_recorded(path: Path, *, folder: Path, expected: str = "", bar: Bar = lambda _d, _t: None) -> str:
    """Compare a file with what is known of it, and note its SHA-256 where nothing is; return it.

    Args:
        path: The file.
        folder: Of the set; its `checksums.sha256` knows files by their name.
        expected: What the user knows; empty: nothing.
        bar: Told of the progress.

    Raises:
        DataError: If it is another file.
    """
    record, found = folder / RECORD, sha256_of(path, bar=bar)
    known = _recorded(record)
    wanted = expected.lower() or known.get(path.name, found)
    if found != wanted:
        source = "--sha256" if expected else str(record)
        raise DataError(
            f"{path}: its SHA-256 is {found}, {source} says {wanted}. Is it whole, and the same release? "
            "Remove it to fetch it anew."
        )
    lines = [f"{digest}  {name}\n" for name, digest in sorted({**known, path.name: found}.items())]
    write_whole(record, "".join(lines))
    return found


def _go_on(url: str, part: Path, *, goal: Path, bar: Bar) -> None:
    """Ask for what is missing and append it.

    Raises:
        _Broken: If the connection ends too early.
    """
    about = part.with_name(f"{part.name}.json")
    have, version = _known(part, about, url)
    words = {"User-Agent": "queuemanager", "Accept-Encoding": "identity"}
    if have:
        words |= {"Range": f"bytes={have}-"} | ({"If-Range": version} if version else {})
    request = urllib.request.Request(url, headers=words)  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            answer = _answered(response, have)
            _require_room(part.parent, answer, url)
            if not answer.begin:
                part.unlink(missing_ok=True)  # before the note: old bytes must not pass for the new version
            write_json(about, {"url": url, "version": answer.version, "total": answer.total})
            _append(part, response, answer, bar=bar)
    except urllib.error.HTTPError as error:
        _judge(error, url, part, goal=goal)


def _append(part: Path, response: Any, answer: _Answer, *, bar: Bar) -> None:  # noqa: ANN401 - of urllib
    with part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(answer.begin)
        file.seek(answer.begin)
        done = answer.begin
        while block := response.read1(BLOCK):  # what has come, so that a slow line loses nothing to a kill
            file.write(block)
            file.flush()
            done += len(block)
            bar(done, answer.total)
        os.fsync(file.fileno())
    if answer.total and done != answer.total:
        raise _Broken(f"{done} of {answer.total} bytes came")


def _answered(response: Any, have: int) -> _Answer:  # noqa: ANN401 - of urllib
    """Read where the bytes begin: a server without resume, or with another version, sends all of them."""
    headers = response.headers
    tag = headers.get("ETag") or ""
    version = headers.get("Last-Modified") or "" if not tag or tag.startswith("W/") else tag
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range") or "")
    if response.status == http.HTTPStatus.PARTIAL_CONTENT and span and int(span[1]) == have:
        return _Answer(have, int(span[2]), version)
    return _Answer(0, int(headers.get("Content-Length") or 0), version)


def _known(part: Path, about: Path, url: str) -> tuple[int, str]:
    """Return the bytes that may be kept, and their version; none where they are of another address."""
    told = read_json(about)
    if not isinstance(told, dict) or told.get("url") != url:
        return 0, ""
    return _size(part), str(told.get("version", ""))


def _judge(error: urllib.error.HTTPError, url: str, part: Path, *, goal: Path) -> None:
    """Decide what a refusal means; nothing to do if the file is whole already."""
    total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range") or "")
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        if total and int(total[1]) == _size(part):
            return
        part.unlink(missing_ok=True)
        raise _Broken("what had come so far is of another version") from None
    if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Broken(f"HTTP {error.code}") from None
    raise DataError(
        f"{url}: the server says {error.code} {error.reason}. Has the address changed? Give --url, or "
        f"download the archive by hand to {goal}."
    ) from None


def _require_room(folder: Path, answer: _Answer, url: str) -> None:
    needed, free = answer.total - answer.begin + KEEP_FREE, free_bytes(folder)
    if answer.total and free < needed:
        raise DataError(
            f"{folder}: {readable(free)} are free, {readable(needed)} are needed for {url}. Make room, or "
            "give another --root."
        )


def _of_the_network(error: OSError) -> bool:
    return isinstance(error, urllib.error.URLError | ConnectionError | TimeoutError)


def _gave_up(url: str, part: Path, error: BaseException) -> str:
    return (
        f"{url}: the connection breaks again and again ({error}); {readable(_size(part))} are kept. "
        "Give the same command later to go on from there."
    )


def _recorded(record: Path) -> dict[str, str]:
    try:
        lines = record.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split(maxsplit=1) for line in lines if line.strip())
    return {name.lstrip("*"): digest for digest, name in pairs}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
