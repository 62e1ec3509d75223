"""What the end of a log says about a failure: the last line that means something, and where it comes from.

The last evidence counts, not a word printed an hour earlier. What it is worth is weighed in causes.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pkgs.jobqueue.attempts.output import NOTE
from pkgs.jobqueue.vocabulary import Cause

WINDOW_LINES: Final = 200  # the last words of eight ranks with their tracebacks; older lines are history
QUOTE_CHARACTERS: Final = 240

# The first that matches a line names its cause, so exceptions to a rule stand before it.
SIGNS: Final = tuple(
    (cause, re.compile(pattern))
    for cause, pattern in (
        (Cause.HOST_OUT_OF_MEMORY, r"OOM when allocating tensor.*\bby allocator \w*cpu"),
        (
            Cause.GPU_OUT_OF_MEMORY,
            r"(?:CUDA|HIP) out of memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY"
            r"|cudaErrorMemoryAllocation|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED|\bOutOfMemoryError\b"  # torch
            r"|RESOURCE_EXHAUSTED: Out of memory|Out of memory (?:while trying to allocate|allocating) \d"
            r"|OOM when allocating tensor|Allocator \(GPU_\d+_bfc\) ran out of memory",  # TensorFlow
        ),
        # A fault of the code or of the installation, though CUDA reports it.
        (
            Cause.EXCEPTION,
            r"device-side assert|CUDA_ERROR_ASSERT|cudaErrorAssert|invalid device ordinal|no kernel image",
        ),
        (
            Cause.GPU_LOST,
            r"CUDA (?:driver |unknown )?error\b|CUDA_ERROR_[A-Z]|cudaError[A-Z]|unhandled cuda error"
            r"|\bXid\b|GPU is lost|fallen off the bus|(?i:uncorrectable|double[- ]bit) ECC|ECC error"
            r"|CU(?:BLAS|DNN)_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|NOT_INITIALIZED)"
            r"|No CUDA GPUs are available|no CUDA-capable device|unspecified launch failure",
        ),
        (
            Cause.HOST_OUT_OF_MEMORY,
            r"\b_?(?:Array)?MemoryError\b|Cannot allocate memory|can't allocate memory|std::bad_alloc"
            r"|killed by signal: (?:Killed|Bus error)|out of shared memory|oom-kill|Out of memory: Killed",
        ),
        (
            Cause.DISK_FULL,
            r"No space left on device|[Dd]isk quota exceeded|\bENOSPC\b|\bEDQUOT\b|Errno (?:28|122)\b"
            r"|disk is full",
        ),
        (
            Cause.BAD_INPUT,
            r"\b(?:FileNotFound|ModuleNotFound|Import|NotADirectory|IsADirectory|Permission)Error\b"
            r"|\bvalidation errors? for |\bValidationError\b|\b(?:Scanner|Parser|Usage)Error\b"
            r"|No such file or directory|error: (?:unrecognized arguments|the following arguments|argument )"
            r"|command not found|can't open file|No module named",
        ),
        (Cause.KILLED, r"^KeyboardInterrupt\b"),
        (
            Cause.EXCEPTION,
            r"^(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Failure)(?::|$)"
            r"|terminate called after throwing|Segmentation fault|Assertion .* failed|panicked at",
        ),
    )
)
# These only report that something else has failed.
WRAPPERS: Final = re.compile(
    r"ChildFailedError|CalledProcessError|ProcessRaisedException|ProcessExitedException|BrokenProcessPool"
    r"|DataLoader worker \(pid\(?s?\)? .*exited unexpectedly|^SystemExit"
)
LINKS: Final = (
    "During handling of the above exception",
    "The above exception was the direct cause",
)
TRACEBACK: Final = "Traceback (most recent call last)"
RANK: Final = re.compile(r"^\[rank\d+\]:\s?")  # torch puts it before each line of a rank's traceback
PLACE: Final = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the log that tells of a failure."""

    cause: Cause
    text: str
    place: str = ""
    """`file:line` where a Python exception was raised."""

    @property
    def quote(self) -> str:
        """The line for a message, with its place, cut to a bearable length, without a full stop."""
        text = self.text if len(self.text) <= QUOTE_CHARACTERS else f"{self.text[:QUOTE_CHARACTERS]} ..."
        return text.rstrip(".") + (f" ({self.place})" if self.place else "")


def last_finding(log: str, *, used_gpu: bool) -> Finding | None:
    """Return the last line that tells of a failure, None if there is none near the end.

    Args:
        log: Readable text, its lines separated by newlines.
        used_gpu: Without a GPU of its own, a run's words about CUDA errors mean nothing.

    An exception raised while another was handled, and one that only reports that a child failed, do not
    hide the evidence before them.
    """
    found: Finding | None = None
    in_traceback = linked = False
    place = ""
    for raw in log.split("\n")[-WINDOW_LINES:]:
        line = RANK.sub("", raw)
        if line.startswith(NOTE):
            continue
        if line.startswith(TRACEBACK):
            in_traceback = True
        elif line.startswith(LINKS):
            linked = True
        elif in_traceback and (not line or line[0] in " \t"):
            at = PLACE.match(line)
            place = f"{at['file']}:{at['line']}" if at else place
        else:
            cause = _cause_of(line, raised=in_traceback, used_gpu=used_gpu)
            if cause is not None and not _hides(line, cause, found, linked=linked):
                found = Finding(cause, line.strip(), place)
            if in_traceback:
                in_traceback, linked, place = False, False, ""
    return found


def last_line(log: str, *, notes: bool = False) -> str:
    """Return the last line that is not empty, without its full stop; lines of the queue only if `notes`."""
    for line in reversed(log.split("\n")[-WINDOW_LINES:]):
        words = line.strip()
        if words and (notes or not words.startswith(NOTE)):
            return words.removeprefix(NOTE)[:QUOTE_CHARACTERS].rstrip(".")
    return ""


def _cause_of(line: str, *, raised: bool, used_gpu: bool) -> Cause | None:
    """Return what a line says; `raised`: it ends a traceback, so it names an exception of whatever name."""
    for cause, pattern in SIGNS:
        if cause is Cause.GPU_LOST and not used_gpu:
            continue
        if pattern.search(line):
            without_gpu = cause is Cause.GPU_OUT_OF_MEMORY and not used_gpu  # JAX says the same on a CPU
            return Cause.HOST_OUT_OF_MEMORY if without_gpu else cause
    return Cause.EXCEPTION if raised else None


def _hides(line: str, cause: Cause, found: Finding | None, *, linked: bool) -> bool:
    """Return whether a line must not replace what was found before it."""
    if found is None or cause is not Cause.EXCEPTION:
        return False
    return WRAPPERS.search(line) is not None or (linked and found.cause is not Cause.EXCEPTION)
