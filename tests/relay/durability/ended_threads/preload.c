/*
 * A library for LD_PRELOAD that makes one thread of a process panic: the standard library of Rust panics when the monotonic
 * clock fails, and when a write returns more bytes than it was given.
 *
 * PANIC_THREAD   the name of the thread
 * PANIC_TRIGGER  a file; the calls of the thread fail while it exists
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Whether the calls of this thread fail. It may not change `errno`. */
static int is_failing(void) {
    const char *name = getenv("PANIC_THREAD"), *trigger = getenv("PANIC_TRIGGER");
    char present[16] = "";
    int error = errno;
    int failing = name && trigger && prctl(PR_GET_NAME, present) == 0 && strcmp(present, name) == 0 &&
                  access(trigger, F_OK) == 0;
    errno = error;
    return failing;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (clock == CLOCK_MONOTONIC && is_failing()) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_clock_gettime, clock, time);
}

ssize_t write(int fd, const void *data, size_t bytes) {
    if (fd == STDERR_FILENO && is_failing())
        return bytes + 1;
    return syscall(SYS_write, fd, data, bytes);
}
