"""Output of jobs: bytes on disk, decoded for the eye only, never unbounded."""

from __future__ import annotations

import random
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from pkgs.jobqueue.attempts.output import PIECE_BYTES, follow, readable, tail


def test_a_million_updates_are_one_line_and_memory_stays_flat(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"".join(b"\rstep %d of 1000000" % step for step in range(1_000_001)))
    tracemalloc.start()
    assert readable(tail(log)) == ["step 1000000 of 1000000"]
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    assert list(follow(log, ended=lambda: True, from_start=True)) == ["step 1000000 of 1000000"]
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\n\ntwo", ["one", "", "two"]),
        (b"windows\r\n", ["windows"]),
        (b"10%\r50%\r100%\r\nnext", ["100%", "next"]),
        (b"10%\r50%\r", ["50%"]),
        (b"a 1/3\b\b\b2/3\b\b\b3/3\n", ["a 3/3"]),
        (b"\b\b\bx\n", ["x"]),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\x1b[2K\n", ["red text"]),
        (b"cut \x1b[", ["cut "]),
        (b"bell\x07 nul\x00 tab\t\xc2\x9b5m\n", ["bell nul tab\t5m"]),
        ("right\u202eto left\n".encode(), ["rightto left"]),
        (b"\xff\xfe bad \xed\xa0\x80\n", ["\ufffd\ufffd bad \ufffd\ufffd\ufffd"]),
        (b"unit \xe2\x80\xa8 separator\n", ["unit \u2028 separator"]),
        (b"", []),
        (b"\n", [""]),
    ],
)
def test_output_is_shown_as_a_terminal_would_leave_it(raw: bytes, shown: list[str]) -> None:
    assert readable(raw) == shown


def test_random_bytes_never_fail_and_can_always_be_written_to_a_terminal() -> None:
    source = random.Random(0)  # noqa: S311  # reproducible, not secret
    for _ in range(200):
        for line in readable(source.randbytes(2000)):
            line.encode()
            assert not any(ord(character) < 32 and character != "\t" for character in line)


def test_a_line_of_100_mb_is_cut_for_the_eye(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    with log.open("wb") as file:
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    (line,) = readable(tail(log))
    assert line.endswith("... (a longer line)")
    assert len(line) < 2100
    tracemalloc.start()
    (line,) = follow(log, ended=lambda: True, from_start=True)
    assert tracemalloc.get_traced_memory()[1] < 32 * PIECE_BYTES
    tracemalloc.stop()
    assert len(line) < 2100


def test_tail_is_bounded_and_a_missing_file_is_empty(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    assert tail(log) == b""
    log.write_bytes(b"0123456789")
    assert tail(log, 4) == b"6789"


def test_follow_yields_whole_lines_as_they_come_and_the_rest_at_the_end(tmp_path: Path) -> None:
    log, over = tmp_path / "output.log", threading.Event()
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.extend(follow(log, ended=over.is_set, poll_s=0.005)))
    reader.start()
    with log.open("ab", buffering=0) as file:
        for piece in (b"first \xc3", b"\xa4\nsec", b"ond\n10%\r", b"20%\r", b"30%"):
            file.write(piece)
            time.sleep(0.02)
    over.set()
    reader.join(timeout=5)
    assert seen == ["first ä", "second", "30%"]


def test_follow_starts_again_when_the_file_has_become_shorter(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"a long first line\n")
    lines = follow(log, ended=lambda: False, poll_s=0.001)
    assert next(lines) == "a long first line"
    log.write_bytes(b"new\n")
    assert next(lines) == "new"
