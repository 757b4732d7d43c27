/*
 * A library for LD_PRELOAD that records what a process does to the files below one directory, and what it flushes. The
 * test derives from the record which bytes a disk would hold after a power cut; `journal.rs` reads it.
 *
 * POWER_CUT_ROOT     the directory
 * POWER_CUT_JOURNAL  the record, which the test has created
 * POWER_CUT_CONTROL  128 bytes that the test writes and this library maps: struct control
 *
 * A call and its record are one step under a lock, so the order of the records is the order of the changes. If the process
 * is killed between the two, the change is missing in the record: it was not flushed, so a disk may have lost it as well.
 * fsync and fdatasync flush nothing: the record takes the place of the disk.
 *
 * The library enters the kernel with syscall(2), not through the next definition of a function: it needs no symbol lookup.
 * Memory maps are not recorded. SQLite maps only the index of its write-ahead log, and rebuilds that at the first open.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FILES 65536
#define NAME_BYTES 56

struct control {
    /* The process kills itself with the change that counts this down to 0; 0 or less means never. */
    int64_t remaining;
    /* Count only writes to the file of this name; empty: all changes and flushes. */
    char counted[NAME_BYTES];
    /* Flushes of the file of this name are ignored; "*": all flushes. */
    char ignored[NAME_BYTES];
    char padding[8];
};

struct record {
    uint32_t kind;
    /* Of the path behind this header. */
    uint32_t path_bytes;
    uint64_t inode;
    /* Of a write: its offset. Of a truncation: the new size. */
    uint64_t position;
    /* Of the second path, or of the written data, behind the first path. */
    uint64_t data_bytes;
};

struct open_file {
    int tracked;
    int append;
    uint64_t inode;
    char name[NAME_BYTES];
};

static struct open_file files[MAX_FILES];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[PATH_MAX];
static char real_root[PATH_MAX];
static int journal = -1;
static struct control *control;

static void start(void) {
    const char *directory = getenv("POWER_CUT_ROOT");
    const char *record = getenv("POWER_CUT_JOURNAL");
    const char *controls = getenv("POWER_CUT_CONTROL");
    if (!directory || !record || !controls || strlen(directory) >= sizeof root)
        return;
    int fd = syscall(SYS_openat, AT_FDCWD, controls, O_RDWR | O_CLOEXEC, 0);
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    strcpy(root, directory);
    /* SQLite resolves symbolic links in its paths. */
    if (mapped == MAP_FAILED || !realpath(directory, real_root))
        abort();
    control = mapped;
    journal = syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (journal < 0)
        abort();
}

/* The path relative to the root, "." for the root itself; NULL for a path elsewhere. The relay uses absolute paths. */
static const char *below(const char *path) {
    pthread_once(&once, start);
    if (journal < 0 || !path || path[0] != '/')
        return NULL;
    const char *roots[] = {root, real_root};
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(roots[i]);
        if (strncmp(path, roots[i], length) != 0)
            continue;
        const char *rest = path + length;
        while (*rest == '/')
            rest++;
        if (*rest == 0)
            return ".";
        if (path[length] == '/')
            return rest;
    }
    return NULL;
}

static struct open_file *tracked(int fd) {
    return fd >= 0 && fd < MAX_FILES && files[fd].tracked ? &files[fd] : NULL;
}

/* Other processes on the same directory append to the same record. */
static void lock(void) {
    pthread_mutex_lock(&mutex);
    syscall(SYS_flock, journal, LOCK_EX);
}

static void unlock(void) {
    int error = errno;
    syscall(SYS_flock, journal, LOCK_UN);
    pthread_mutex_unlock(&mutex);
    errno = error;
}

/* Appends a record; the caller holds the lock. */
static void append(char kind, uint64_t inode, uint64_t position, const char *path, const void *data, size_t bytes,
                   const char *name) {
    struct record header = {kind, path ? strlen(path) : 0, inode, position, bytes};
    struct iovec parts[] = {
        {&header, sizeof header}, {(void *)path, header.path_bytes}, {(void *)data, bytes}};
    size_t all = sizeof header + header.path_bytes + bytes;
    int error = errno;
    if (syscall(SYS_writev, journal, parts, 3) != (long)all)
        abort();
    errno = error;
    /* To open an existing file changes nothing. */
    int counts = control->counted[0] ? kind == 'W' && name && strcmp(name, control->counted) == 0 : kind != 'O';
    if (control->remaining > 0 && counts && --control->remaining == 0) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        pause();
    }
}

static int open_file(int directory, const char *path, int flags, mode_t mode) {
    const char *name = below(path);
    if (!name) {
        int fd = syscall(SYS_openat, directory, path, flags, mode);
        if (fd >= 0 && fd < MAX_FILES)
            files[fd].tracked = 0;
        return fd;
    }
    lock();
    struct stat status;
    int existed = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
    int fd = syscall(SYS_openat, directory, path, flags, mode);
    if (fd >= MAX_FILES || (fd >= 0 && fstat(fd, &status) != 0))
        abort();
    if (fd >= 0) {
        struct open_file *file = &files[fd];
        const char *last = strrchr(name, '/');
        *file = (struct open_file){1, flags & O_APPEND, status.st_ino, ""};
        strncpy(file->name, last ? last + 1 : name, NAME_BYTES - 1);
        append(existed ? 'O' : 'C', file->inode, 0, name, NULL, 0, file->name);
        if (existed && flags & O_TRUNC)
            append('T', file->inode, 0, NULL, NULL, 0, file->name);
    }
    unlock();
    return fd;
}

#define MODE(flags, mode)                                                                                              \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode = va_arg(arguments, mode_t);                                                                              \
        va_end(arguments);                                                                                             \
    }

int open(const char *path, int flags, ...) {
    mode_t mode = 0;
    MODE(flags, mode)
    return open_file(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    MODE(flags, mode)
    return open_file(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    mode_t mode = 0;
    MODE(flags, mode)
    return open_file(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
    mode_t mode = 0;
    MODE(flags, mode)
    return open_file(directory, path, flags, mode);
}

int creat(const char *path, mode_t mode) { return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    if (fd >= 0 && fd < MAX_FILES)
        files[fd].tracked = 0;
    return syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
    struct open_file *file = tracked(fd);
    if (!file)
        return syscall(SYS_pwrite64, fd, data, bytes, offset);
    lock();
    ssize_t written = syscall(SYS_pwrite64, fd, data, bytes, offset);
    if (written > 0)
        append('W', file->inode, offset, NULL, data, written, file->name);
    unlock();
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }

ssize_t write(int fd, const void *data, size_t bytes) {
    struct open_file *file = tracked(fd);
    if (!file)
        return syscall(SYS_write, fd, data, bytes);
    lock();
    off_t offset = file->append ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t written = syscall(SYS_write, fd, data, bytes);
    if (written > 0)
        append('W', file->inode, offset, NULL, data, written, file->name);
    unlock();
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!tracked(fd))
        return syscall(SYS_writev, fd, parts, count);
    /* A short write is allowed: callers continue after it. */
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len > 0)
            return write(fd, parts[i].iov_base, parts[i].iov_len);
    return 0;
}

int ftruncate64(int fd, off64_t size) {
    struct open_file *file = tracked(fd);
    if (!file)
        return syscall(SYS_ftruncate, fd, size);
    lock();
    int result = syscall(SYS_ftruncate, fd, size);
    if (result == 0)
        append('T', file->inode, size, NULL, NULL, 0, file->name);
    unlock();
    return result;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int flush(int fd, long call) {
    struct open_file *file = tracked(fd);
    if (!file)
        return syscall(call, fd);
    lock();
    if (strcmp(control->ignored, "*") != 0 && strcmp(control->ignored, file->name) != 0)
        append('S', file->inode, 0, NULL, NULL, 0, file->name);
    unlock();
    return 0;
}

int fsync(int fd) { return flush(fd, SYS_fsync); }

int fdatasync(int fd) { return flush(fd, SYS_fdatasync); }

/* Removes a name: 'U' of a file, 'D' of a directory. */
static int remove_name(int directory, const char *path, int flags) {
    const char *name = below(path);
    if (!name)
        return syscall(SYS_unlinkat, directory, path, flags);
    lock();
    int result = syscall(SYS_unlinkat, directory, path, flags);
    if (result == 0)
        append(flags & AT_REMOVEDIR ? 'D' : 'U', 0, 0, name, NULL, 0, NULL);
    unlock();
    return result;
}

int unlink(const char *path) { return remove_name(AT_FDCWD, path, 0); }

int unlinkat(int directory, const char *path, int flags) { return remove_name(directory, path, flags); }

int rmdir(const char *path) { return remove_name(AT_FDCWD, path, AT_REMOVEDIR); }

int rename(const char *from, const char *to) {
    const char *old = below(from), *new = below(to);
    if (!old || !new)
        return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    lock();
    int result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (result == 0)
        append('R', 0, 0, old, new, strlen(new), NULL);
    unlock();
    return result;
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
    const char *old = below(from), *new = below(to);
    if (!old || !new)
        return syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
    lock();
    int result = syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
    if (result == 0)
        append('L', 0, 0, old, new, strlen(new), NULL);
    unlock();
    return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int mkdir(const char *path, mode_t mode) {
    const char *name = below(path);
    if (!name)
        return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    lock();
    int result = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0)
        append('M', 0, 0, name, NULL, 0, NULL);
    unlock();
    return result;
}
