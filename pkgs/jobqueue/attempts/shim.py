"""The process that watches over one attempt: starts the command, tells its true end, leaves nothing behind.

Run by path, `python -I -S shim.py FOLDER ATTEMPT_JSON BOOT_ID GRACE_S CWD COMMAND`, as leader of a session of
its own, with TERM blocked, output.log as stdout and stderr, lock and leases open. It outlives the manager.

Imports nothing from pkgs and only modules written in C: every run pays each millisecond of its start (`os`
costs 1 ms, `ctypes` 2, `signal` 4, `json` 6) and each MiB while it lasts. The manager's side is attempts.py.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of `signal`, without its enums
import posix
import sys
from time import monotonic, sleep, time

GIVE_UP_S = 86_400.0  # an end that cannot be written for a day (disk full) is given up
WRITE_PAUSE_S = 1.0
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of the command become our children, also after a double fork
HARMLESS = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT)
# What the command must find as if it were started by hand: Python and we have changed these.
TERMINAL = (_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU)
# a terminal multiplexer leaves these ignored, and a manager in it would pass that on
TO_DEFAULT = (*HARMLESS, *TERMINAL, _signal.SIGTERM, _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGXFSZ)


def become_subreaper() -> None:
    """Ask the kernel that every orphan among our descendants falls to us. Raises OSError if it refuses."""
    try:
        import _ctypes  # noqa: PLC0415  # a quarter of the time of ctypes

        call, handle = _ctypes.call_cdeclfunction, _ctypes.dlopen("", 0)
        answer = call(_ctypes.dlsym(handle, "prctl"), (SUBREAPER, 1, 0, 0, 0))
    except (ImportError, AttributeError):
        import ctypes  # noqa: PLC0415

        answer = ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    if answer != 0:
        raise OSError(0, "the kernel refuses PR_SET_CHILD_SUBREAPER")


def say(sentence: str) -> None:
    """Append a line of our own to output.log, which is our stdout."""
    try:
        posix.write(1, f"[queue] {sentence}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return  # disk full: exit.json still says that it ended


def processes() -> list[tuple[int, int, int]]:
    """Return (pid, parent, process group) of every process that is not a zombie."""
    found = []
    for name in posix.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()  # the name before it may hold anything
        except OSError:
            continue  # gone meanwhile
        if fields and fields[0] not in (b"Z", b"X"):
            found.append((int(name), int(fields[1]), int(fields[2])))
    return found


def descendants() -> list[tuple[int, int]]:
    """Return (pid, process group) of all that descends from us."""
    table, family, grown = processes(), {posix.getpid()}, True
    while grown:  # a parent may stand after its child
        children = {pid for pid, parent, _ in table if parent in family} - family
        grown = bool(children)
        family |= children
    return [(pid, group) for pid, _, group in table if pid in family and pid != posix.getpid()]


class Folder:
    """attempts/<k>/ by descriptor, so that the end is also written when the folder was moved."""

    def __init__(self, path: str) -> None:
        self.descriptor = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)

    def write(self, name: str, text: str, /) -> None:
        """Replace the file `name` by `text`, synced. Raises OSError; nothing half-written is left."""
        draft, here = f".{name}.draft", self.descriptor
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        file = posix.open(draft, flags, 0o644, dir_fd=here)
        try:
            rest = text.encode()
            while rest:
                rest = rest[posix.write(file, rest) :]
            if name == "exit.json":
                posix.fsync(file)  # shim.json means nothing after a power cut: launch.json knows the boot
            posix.rename(draft, name, src_dir_fd=here, dst_dir_fd=here)
            if name == "exit.json":
                posix.fsync(here)
        except OSError:
            if draft in posix.listdir(here):
                posix.unlink(draft, dir_fd=here)
            raise
        finally:
            posix.close(file)

    def deleted(self) -> bool:
        return posix.fstat(self.descriptor).st_nlink == 0


class Watch:
    """One attempt from the command's start to the last of its descendants."""

    def __init__(self, attempt_json: str, grace_s: float) -> None:
        self.attempt_json, self.grace_s = attempt_json, grace_s
        self.command: int | None = None  # its pid, and that of its process group
        self.stop_wanted = self.ended = self.stop_passed_on = False
        self.start_unix_s, self.started_s, self.ended_s = time(), monotonic(), 0.0
        self.exit_json = ""

    def pass_on(self, *_: object) -> None:
        """Handle SIGTERM: hand it to the command's group; only we know for sure whose number that is."""
        self.stop_wanted = True
        if self.command is not None and not self.ended:
            self.stop_passed_on = True
            try:
                posix.killpg(self.command, _signal.SIGTERM)
            except ProcessLookupError:
                return

    def start(self, cwd: str, command: str, /) -> int:
        """Start `bash -c command` in its own process group; return 0, or the exit code of a failed start."""
        try:
            posix.chdir(cwd)
            self.start_unix_s, self.started_s = time(), monotonic()
            words, own_group = ["bash", "-c", command], 0
            self.command = posix.posix_spawnp(
                "bash", words, posix.environ, setpgroup=own_group, setsigmask=(), setsigdef=TO_DEFAULT
            )
        except OSError as error:
            what = f"working directory {cwd}" if error.filename == cwd else "program bash"
            say(f"The command was not started, {what}: {error.strerror}.")
            return 127 if isinstance(error, FileNotFoundError) else 126
        if self.stop_wanted:
            self.pass_on()
        return 0

    def wait(self) -> None:
        """Sleep until the command ends; reap the orphans that fall to us meanwhile."""
        while True:
            pid, status, usage = posix.wait4(-1, 0)
            if pid == self.command:
                break
        cpu_s = usage.ru_utime + usage.ru_stime
        if posix.WIFSIGNALED(status):
            self.end(None, posix.WTERMSIG(status), usage.ru_maxrss * 1024, cpu_s)
        else:
            self.end(posix.WEXITSTATUS(status), None, usage.ru_maxrss * 1024, cpu_s)

    def end(self, code: int | None, number: int | None, peak_rss_bytes: int = 0, cpu_s: float = 0.0) -> None:
        """Note the end as it will stand in exit.json."""
        self.ended, self.ended_s = True, monotonic()
        self.exit_json = (
            f'{{"attempt": {self.attempt_json}, "code": {"null" if code is None else code}, '
            f'"signal": {"null" if number is None else number}, "start_unix_s": {self.start_unix_s:.6f}, '
            f'"end_unix_s": {time():.6f}, "duration_s": {self.ended_s - self.started_s:.6f}, '
            f'"peak_rss_bytes": {peak_rss_bytes}, "cpu_s": {cpu_s:.6f}}}\n'
        )

    def see_off(self, folder: Folder, /) -> None:
        """Write the end, then end what the command left behind; return when both are done."""
        written, next_write_s, told, pause_s = False, 0.0, False, 0.01
        while True:
            age_s = monotonic() - self.ended_s
            if not written and age_s >= next_write_s:
                written, next_write_s = self.write_end(folder), age_s + WRITE_PAUSE_S
            left = reap()
            if not left and (written or age_s > GIVE_UP_S or folder.deleted()):
                return
            if left and age_s >= self.grace_s:
                self.signal_the_rest(_signal.SIGKILL)
            elif left and not told:
                self.signal_the_rest(_signal.SIGTERM)
                told = True
            sleep(pause_s)
            pause_s = min(0.2, pause_s * 1.5)

    def write_end(self, folder: Folder, /) -> bool:
        """Try to write exit.json; False when there is no room, permission or folder."""
        try:
            folder.write("exit.json", self.exit_json)
        except OSError:
            return False
        return True

    def signal_the_rest(self, number: int, /) -> None:
        for pid, group in descendants():
            if number == _signal.SIGTERM and self.stop_passed_on and group == self.command:
                continue  # it is saving its checkpoint; many programs take a second SIGTERM for "at once"
            try:
                posix.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue  # gone meanwhile, or setuid: we still wait for it


def reap() -> bool:
    """Collect the dead; return whether any child is left. Without children there are no descendants."""
    try:
        while posix.wait4(-1, posix.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def prepare(watch: Watch) -> None:
    """Set signals and descriptors so that nothing of ours leaks into the command."""
    _signal.signal(_signal.SIGTERM, watch.pass_on)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # if inherited as ignored, the end would be lost
    for number in HARMLESS:
        _signal.signal(number, _signal.SIG_IGN)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    for name in posix.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                posix.set_inheritable(int(name), False)  # noqa: FBT003  # takes no keyword
            except OSError:
                continue  # the listing's own descriptor
    become_subreaper()


def main(arguments: list[str]) -> None:
    folder_path, attempt_json, boot_id, grace_s, cwd, command = arguments
    watch, folder = Watch(attempt_json, float(grace_s)), Folder(folder_path)
    prepare(watch)
    with open("/proc/self/stat", "rb") as file:
        start_ticks = int(file.read().rpartition(b")")[2].split()[19])
    identity = f'"boot_id": "{boot_id}", "pid": {posix.getpid()}, "start_ticks": {start_ticks}'
    try:
        folder.write("shim.json", f"{{{identity}}}\n")
        failure = watch.start(cwd, command)
    except OSError as error:  # an attempt of which no trace can be kept is not started
        say(f"The command was not started, {folder_path}/shim.json cannot be written: {error.strerror}.")
        failure = 126
    if failure:
        watch.end(failure, None)
    else:
        try:
            folder.write("shim.json", f'{{{identity}, "command_pid": {watch.command}}}\n')
        except OSError:
            say("The command's pid could not be added to shim.json; nothing depends on it.")
        watch.wait()
    watch.see_off(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
    posix._exit(0)  # the interpreter's own farewell takes a millisecond, and the next run waits for the lease
