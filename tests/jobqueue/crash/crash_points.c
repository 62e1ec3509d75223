/* Counts the write points of one process and kills it, or fails it, at the n-th: for tests of crash safety.
 *
 * Preloaded into the manager alone: the constructor takes itself and its variables out of the environment, so
 * that shims and jobs never load it. Only calls on files below CRASH_BELOW count, and starts of processes.
 *
 *   CRASH_LOG    one line per call: number, call, path (and second path), what came of it
 *   CRASH_AT     the call at which something happens, from 1; 0 or absent: only count
 *   CRASH_WHEN   before | after: SIGKILL before or after that call
 *   CRASH_ERRNO  answer this errno at that call instead of a kill
 *   CRASH_UNTIL  with CRASH_ERRNO: go on failing from that call on until this file exists
 *   CRASH_ONLY   with CRASH_ERRNO: only calls on paths that contain this may fail
 *   CRASH_NAP_MS the process that is started when the manager is killed first sleeps so long
 *
 * Hooked: write, pwrite, pwritev, fsync, fdatasync, rename, renameat, renameat2, link, unlink, ftruncate, mkdir
 * and execve. CPython starts processes by vfork, which no C function can wrap, so a start is counted in the
 * child, just before it becomes the new program: "before" and "after" both kill the manager there, and the
 * child goes on, as after a real kill. That the child never starts is the state after the call before it.
 * vfork shares the memory, so the counter is the same on both sides. Reading a path costs a readlink. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pid_t manager;
static int log_fd = -1;
static long counter, crash_at;
static int kill_after, fail_with;
static char below[PATH_MAX], until[PATH_MAX], log_name[PATH_MAX], only[PATH_MAX];
static long nap_ms;
static size_t below_length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int open_log(void) { return open(log_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600); }

__attribute__((constructor)) static void begin(void) {
    const char *place = getenv("CRASH_BELOW"), *log_path = getenv("CRASH_LOG");
    if (place == NULL || log_path == NULL) return;
    snprintf(below, sizeof below, "%s/", place);
    below_length = strlen(below);
    crash_at = getenv("CRASH_AT") ? atol(getenv("CRASH_AT")) : 0;
    kill_after = getenv("CRASH_WHEN") && strcmp(getenv("CRASH_WHEN"), "after") == 0;
    fail_with = getenv("CRASH_ERRNO") ? atoi(getenv("CRASH_ERRNO")) : 0;
    snprintf(until, sizeof until, "%s", getenv("CRASH_UNTIL") ? getenv("CRASH_UNTIL") : "");
    snprintf(only, sizeof only, "%s", getenv("CRASH_ONLY") ? getenv("CRASH_ONLY") : "");
    nap_ms = getenv("CRASH_NAP_MS") ? atol(getenv("CRASH_NAP_MS")) : 0;
    snprintf(log_name, sizeof log_name, "%s", log_path);
    int opened = open_log();
    log_fd = fcntl(opened, F_DUPFD_CLOEXEC, 900); /* out of the way of who counts on low numbers */
    close(opened);
    static const char *const ours[] = {"LD_PRELOAD",  "CRASH_BELOW", "CRASH_LOG",  "CRASH_AT",    "CRASH_WHEN",
                                       "CRASH_ERRNO", "CRASH_UNTIL", "CRASH_ONLY", "CRASH_NAP_MS"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) unsetenv(ours[i]);
    manager = getpid();
}

static int counts(const char *path) {
    if (manager == 0 || getpid() != manager || path == NULL) return 0;
    if (path[0] != '/') return 1; /* relative: to the working folder */
    size_t length = strlen(path) < below_length ? below_length - 1 : below_length; /* the folder itself counts */
    return strncmp(path, below, length) == 0;
}

static void name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    if (length > 0 && path[0] != '/') path[0] = '/'; /* pipe:[1]: nothing below the folder */
}

static void note(long number, const char *call, const char *one, const char *other, const char *outcome) {
    char line[3 * PATH_MAX];
    const char *first = strncmp(one, below, below_length) == 0 ? one + below_length : one;
    const char *second = strncmp(other, below, below_length) == 0 ? other + below_length : other;
    int length = snprintf(line, sizeof line, "%ld %s %s %s %s\n", number, call, first, *second ? second : "-", outcome);
    int fd = getpid() == manager ? log_fd : open_log(); /* the child has closed what it does not inherit */
    if (syscall(SYS_write, fd, line, (size_t)length) < 0) abort();
    if (fd != log_fd) syscall(SYS_close, fd);
}

static void die(void) {
    kill(manager, SIGKILL);
    while (getpid() == manager) pause();
}

/* Returns -1 if the call shall fail; errno is set then. */
static int enter(const char *call, const char *one, const char *other, long *number, int may_fail) {
    *number = __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
    int now = *number == crash_at;
    if (fail_with) {
        int later = until[0] && crash_at && *number > crash_at && access(until, F_OK) != 0;
        if (may_fail && (now || later) && strstr(one, only) != NULL) {
            note(*number, call, one, other, "failed");
            errno = fail_with;
            return -1;
        }
    } else if (now && !kill_after) {
        note(*number, call, one, other, "killed-before");
        die();
    }
    return 0;
}

static void leave(const char *call, const char *one, const char *other, long number, int good) {
    int saved = errno, now = number == crash_at && !fail_with;
    note(number, call, one, other, now ? "killed-after" : good ? "done" : "refused");
    if (now) die();
    errno = saved;
}

#define AROUND(call, one, other, may_fail, action)                     \
    do {                                                               \
        long number_;                                                  \
        if (enter(call, one, other, &number_, may_fail)) return -1;    \
        __typeof__(action) result_ = (action);                         \
        leave(call, one, other, number_, result_ >= 0);                \
        return result_;                                                \
    } while (0)

#define ON_FD(call, fd, action)                       \
    do {                                              \
        char path_[PATH_MAX];                         \
        if (manager == 0) return (action);            \
        name_of(fd, path_);                           \
        if (!counts(path_)) return (action);          \
        AROUND(call, path_, "", 1, action);           \
    } while (0)

ssize_t write(int fd, const void *data, size_t size) { ON_FD("write", fd, syscall(SYS_write, fd, data, size)); }

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    ON_FD("pwrite", fd, syscall(SYS_pwrite64, fd, data, size, at));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ON_FD("pwrite", fd, syscall(SYS_pwrite64, fd, data, size, at));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    ON_FD("pwritev", fd, REAL(pwritev)(fd, parts, count, at));
}

int fsync(int fd) { ON_FD("fsync", fd, (int)syscall(SYS_fsync, fd)); }

int fdatasync(int fd) { ON_FD("fdatasync", fd, (int)syscall(SYS_fdatasync, fd)); }

int ftruncate(int fd, off_t size) { ON_FD("ftruncate", fd, (int)syscall(SYS_ftruncate, fd, size)); }

int ftruncate64(int fd, off64_t size) { ON_FD("ftruncate", fd, (int)syscall(SYS_ftruncate, fd, size)); }

int rename(const char *from, const char *to) {
    if (!counts(from)) return REAL(rename)(from, to);
    AROUND("rename", from, to, 1, (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    if (!counts(from)) return REAL(renameat)(from_fd, from, to_fd, to);
    AROUND("rename", from, to, 1, (int)syscall(SYS_renameat, from_fd, from, to_fd, to));
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags) {
    if (!counts(from)) return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
    AROUND("renameat2", from, to, 1, (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
}

int link(const char *from, const char *to) {
    if (!counts(from)) return REAL(link)(from, to);
    AROUND("link", from, to, 1, (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int unlink(const char *path) {
    if (!counts(path)) return REAL(unlink)(path);
    AROUND("unlink", path, "", 0, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0)); /* a full disk lets go */
}

int mkdir(const char *path, mode_t mode) {
    if (!counts(path)) return REAL(mkdir)(path, mode);
    AROUND("mkdir", path, "", 1, (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

int execve(const char *path, char *const arguments[], char *const environment[]) {
    if (manager != 0 && getpid() != manager && getppid() == manager) {
        long number = __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
        int now = number == crash_at && !fail_with;
        note(number, "start", path, "", now ? "killed-before" : "done");
        if (now) {
            kill(manager, SIGKILL);
            usleep((useconds_t)nap_ms * 1000);
        }
    }
    return (int)syscall(SYS_execve, path, arguments, environment);
}
