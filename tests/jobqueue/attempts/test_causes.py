"""Why an attempt ended, from made-up evidence in the words that the real programs use."""

from __future__ import annotations

import signal

import pytest

from pkgs.jobqueue.attempts.causes import Diagnosis, Evidence, diagnose, follow_up
from pkgs.jobqueue.attempts.last_words import QUOTE_CHARACTERS
from pkgs.jobqueue.vocabulary import Cause

GIB = 1 << 30


def cause_of_log(*lines: str, code: int = 1, used_gpu: bool = True) -> Cause | None:
    return diagnose(Evidence(code, None, "\n".join(lines), used_gpu=used_gpu)).cause


def traceback(error: str, *, place: str = "train.py", line: int = 12) -> str:
    return (
        "Traceback (most recent call last):\n"
        f'  File "{place}", line {line}, in main\n'
        "    raise FileNotFoundError('not this line, CUDA out of memory')\n"
        f"{error}"
    )


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", Cause.GPU_OUT_OF_MEMORY),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate", Cause.GPU_OUT_OF_MEMORY),
        ("RuntimeError: CUDA error: out of memory", Cause.GPU_OUT_OF_MEMORY),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", Cause.GPU_OUT_OF_MEMORY),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", Cause.GPU_OUT_OF_MEMORY),
        (
            "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.",
            Cause.GPU_OUT_OF_MEMORY,
        ),
        (
            "tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating tensor with "
            "shape[8] and type float on /device:GPU:0 by allocator GPU_0_bfc",
            Cause.GPU_OUT_OF_MEMORY,
        ),
        ("OOM when allocating tensor with shape[8] by allocator cpu", Cause.HOST_OUT_OF_MEMORY),
        ("MemoryError", Cause.HOST_OUT_OF_MEMORY),
        (
            "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3 TiB for an array",
            Cause.HOST_OUT_OF_MEMORY,
        ),
        ("OSError: [Errno 12] Cannot allocate memory", Cause.HOST_OUT_OF_MEMORY),
        ("RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed. ", Cause.HOST_OUT_OF_MEMORY),
        ("torch.AcceleratorError: CUDA error: an illegal memory access was encountered", Cause.GPU_LOST),
        ("RuntimeError: CUDA error: uncorrectable ECC error encountered", Cause.GPU_LOST),
        ("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", Cause.GPU_LOST),
        ("pynvml.NVMLError_GpuIsLost: GPU is lost", Cause.GPU_LOST),
        ("RuntimeError: No CUDA GPUs are available", Cause.GPU_LOST),
        ("ncclUnhandledCudaError: Call to CUDA function failed, unhandled cuda error", Cause.GPU_LOST),
        ("RuntimeError: CUDA error: device-side assert triggered", Cause.EXCEPTION),
        ("RuntimeError: CUDA error: no kernel image is available for execution", Cause.EXCEPTION),
        ("OSError: [Errno 28] No space left on device: 'last.pt'", Cause.DISK_FULL),
        ("OSError: [Errno 122] Disk quota exceeded", Cause.DISK_FULL),
        ("sqlite3.OperationalError: database or disk is full", Cause.DISK_FULL),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'", Cause.BAD_INPUT),
        ("ModuleNotFoundError: No module named 'monai'", Cause.BAD_INPUT),
        ("pydantic_core._pydantic_core.ValidationError: 2 validation errors for Config", Cause.BAD_INPUT),
        ("KeyboardInterrupt", Cause.KILLED),
        ("ValueError: shapes differ", Cause.EXCEPTION),
        ("my.package.OddlyNamed", Cause.EXCEPTION),
    ],
)
def test_the_end_of_a_traceback_tells_the_cause(line: str, cause: Cause) -> None:
    assert cause_of_log("epoch 1", traceback(line)) is cause


def test_the_sentence_quotes_the_last_exception_and_its_place() -> None:
    log = traceback("ValueError: shapes differ: 3 and 4", place="pkgs/losses/soft.py", line=33)
    assert diagnose(Evidence(1, None, log)) == Diagnosis(
        Cause.EXCEPTION, "Error in the code: ValueError: shapes differ: 3 and 4 (pkgs/losses/soft.py:33)."
    )


def test_the_last_evidence_counts() -> None:
    oom, bug = "CUDA out of memory, trying half the batch", traceback("ValueError: shapes differ")
    assert cause_of_log(oom, "epoch 2", bug) is Cause.EXCEPTION
    assert cause_of_log(bug, "epoch 2", oom) is Cause.GPU_OUT_OF_MEMORY


def test_a_word_from_an_hour_ago_does_not_count() -> None:
    epochs = [f"epoch {number}: loss 0.5" for number in range(300)]
    assert cause_of_log("CUDA out of memory, trying half the batch", *epochs) is Cause.EXCEPTION


def test_an_error_while_cleaning_up_does_not_hide_the_first() -> None:
    first, second = traceback("torch.OutOfMemoryError: CUDA out of memory."), traceback("KeyError: 'x'")
    link = "During handling of the above exception, another exception occurred:"
    assert cause_of_log(first, "", link, "", second) is Cause.GPU_OUT_OF_MEMORY


@pytest.mark.parametrize(
    "wrapper",
    [
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        "subprocess.CalledProcessError: Command '['python']' returned non-zero exit status 1.",
        "RuntimeError: DataLoader worker (pid(s) 12, 13) exited unexpectedly",
    ],
)
def test_a_wrapper_that_reports_a_failed_child_does_not_hide_why_it_failed(wrapper: str) -> None:
    assert cause_of_log(traceback("OSError: [Errno 28] No space left on device"), traceback(wrapper)) is (
        Cause.DISK_FULL
    )
    assert cause_of_log(traceback(wrapper)) is Cause.EXCEPTION


def test_tracebacks_of_torch_ranks_are_read() -> None:
    log = "\n".join(f"[rank1]: {line}" for line in traceback("ValueError: odd", place="a.py").split("\n"))
    assert diagnose(Evidence(1, None, log)).sentence == "Error in the code: ValueError: odd (a.py:12)."


def test_words_of_cuda_mean_nothing_for_a_run_without_a_gpu() -> None:
    log = "E0000 failed call to cuInit: CUDA_ERROR_NO_DEVICE"
    assert cause_of_log(traceback("ValueError: odd"), log, used_gpu=False) is Cause.EXCEPTION
    assert "ValueError" in diagnose(Evidence(1, None, traceback("ValueError: odd") + "\n" + log)).sentence
    memory = "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 800 bytes."
    assert cause_of_log(traceback(memory), used_gpu=False) is Cause.HOST_OUT_OF_MEMORY


def test_the_queue_s_own_lines_are_no_evidence() -> None:
    assert cause_of_log("[queue] command: grep 'CUDA out of memory' log", "nothing found") is Cause.EXCEPTION


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        (Evidence(0, None, "CUDA out of memory", used_gpu=True), None),
        (Evidence(81, None, traceback("ValueError: loss is not finite")), Cause.NAN),
        (Evidence(2, None, "error: unrecognized arguments: --sed"), Cause.BAD_INPUT),
        (Evidence(126, None), Cause.BAD_INPUT),
        (Evidence(127, None, "bash: line 1: no-such: command not found"), Cause.BAD_INPUT),
        (Evidence(2, None, "OSError: No space left on device\nmake: *** [all] Error 1"), Cause.DISK_FULL),
        (Evidence(3, None), Cause.EXCEPTION),
        (Evidence(129, None, "usage: git"), Cause.EXCEPTION),
        (Evidence(1, None, free_disk_bytes=0), Cause.DISK_FULL),
        (Evidence(1, None, traceback("ValueError: odd"), free_disk_bytes=0), Cause.EXCEPTION),
        (Evidence(None, signal.SIGSEGV), Cause.EXCEPTION),
        (Evidence(139, None), Cause.EXCEPTION),
        (Evidence(None, signal.SIGABRT, "what():  std::bad_alloc"), Cause.HOST_OUT_OF_MEMORY),
        (Evidence(None, signal.SIGTERM), Cause.KILLED),
        (Evidence(143, None), Cause.KILLED),
        (Evidence(130, None), Cause.KILLED),
        (Evidence(None, signal.SIGHUP), Cause.KILLED),
        (Evidence(None, 64), Cause.EXCEPTION),
        (Evidence(None, signal.SIGKILL), Cause.KILLED),
        (Evidence(137, None, peak_rss_bytes=GIB, total_ram_bytes=64 * GIB), Cause.KILLED),
        (Evidence(137, None, peak_rss_bytes=60 * GIB, total_ram_bytes=64 * GIB), Cause.HOST_OUT_OF_MEMORY),
        (Evidence(None, signal.SIGKILL, oom_kills=1), Cause.HOST_OUT_OF_MEMORY),
        (Evidence(1, None, traceback("ValueError: odd"), oom_kills=1), Cause.EXCEPTION),
        (Evidence(None, None), Cause.LOST),
        (Evidence(None, None, lost=True), Cause.LOST),
        (Evidence(None, None, rebooted=True), Cause.REBOOTED),
    ],
)
def test_code_signal_and_circumstances_tell_the_cause(evidence: Evidence, cause: Cause | None) -> None:
    diagnosis = diagnose(evidence)
    assert diagnosis.cause is cause
    assert diagnosis.sentence.endswith(".")


@pytest.mark.parametrize("end", [(0, None), (1, None), (143, None), (None, signal.SIGTERM), (None, None)])
@pytest.mark.parametrize(
    ("reason", "cause"),
    [("cancel", Cause.CANCELLED), ("timeout", Cause.TIMEOUT), ("stalled", Cause.STALLED)],
)
def test_a_stopped_attempt_is_stopped_however_it_ends(
    end: tuple[int | None, int | None], reason: str, cause: Cause
) -> None:
    code, number = end
    evidence = Evidence(code, number, stop_reason=reason, stop_unix_s=10.0, end_unix_s=10.2)  # type: ignore[arg-type]
    assert diagnose(evidence).cause is cause


@pytest.mark.parametrize(("code", "cause"), [(0, None), (81, Cause.NAN), (1, Cause.EXCEPTION)])
def test_an_attempt_that_ended_before_the_signal_is_what_it_was(code: int, cause: Cause | None) -> None:
    evidence = Evidence(code, None, stop_reason="cancel", stop_unix_s=10.0, end_unix_s=9.9)
    assert diagnose(evidence).cause is cause


def test_a_clock_that_was_set_back_does_not_turn_a_cancelled_attempt_into_a_killed_one() -> None:
    evidence = Evidence(143, None, stop_reason="cancel", stop_unix_s=864_000.0, end_unix_s=3.0)
    assert diagnose(evidence).cause is Cause.CANCELLED


def test_a_full_disk_elsewhere_is_said() -> None:
    log = "OSError: [Errno 28] No space left on device: '/dev/shm/x'"
    assert "/dev/shm" in diagnose(Evidence(1, None, log, free_disk_bytes=100 * GIB)).sentence.split(".")[-2]
    assert "has room" not in diagnose(Evidence(1, None, log, free_disk_bytes=0)).sentence


def test_a_silent_failure_says_its_code_and_last_words() -> None:
    assert diagnose(Evidence(3, None, "[queue] x\nall is well\n\n")).sentence == (
        "Ended with exit code 3; its last words: all is well."
    )
    assert diagnose(Evidence(3, None, "[queue] x")).sentence == "Ended with exit code 3; it said nothing."


def test_a_failed_start_quotes_the_shim() -> None:
    log = "[queue] The command was not started, working directory /gone: No such file or directory."
    assert "working directory /gone: No such file" in diagnose(Evidence(127, None, log)).sentence


def test_a_long_exception_is_cut() -> None:
    sentence = diagnose(Evidence(1, None, traceback("ValueError: " + "x" * 10_000))).sentence
    assert len(sentence) < QUOTE_CHARACTERS + 100


def test_every_cause_has_a_follow_up() -> None:
    again = {cause for cause in Cause if follow_up(cause).retry}
    assert set(Cause) - again == {Cause.NAN, Cause.BAD_INPUT, Cause.EXCEPTION, Cause.CANCELLED}
    assert {cause for cause in Cause if follow_up(cause).more_memory} == {Cause.GPU_OUT_OF_MEMORY}
    assert {cause for cause in Cause if follow_up(cause).other_device} == {Cause.GPU_LOST}
    assert {cause for cause in Cause if follow_up(cause).until_room} == {Cause.DISK_FULL}
