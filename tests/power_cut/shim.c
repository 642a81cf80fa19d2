/*
 * A power cut, simulated: for LD_PRELOAD.
 *
 * For each file under $PC_ROOT this keeps a shadow under $PC_SHADOW that holds only what a
 * disk must have kept if the power failed now: bytes written before an fsync or fdatasync of
 * the file that has returned. Kill the process, open the shadow, and see what is left.
 *
 * It is the worst case that is legal for data. What it takes as kept in order, and a real file
 * system may lose: renames, removals, and the directory entry of a file that was synced.
 *
 * - Writes (write, writev, pwrite) are noted as ranges of their inode, so that a sync through
 *   another descriptor of the same file counts.
 * - fsync and fdatasync copy the noted ranges to the shadow after the real call has succeeded.
 *   They are serialised: a sync must not return before what it covers has been copied.
 * - sync_file_range does not count: it flushes neither the disk's cache nor the file's size.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, SHADOW_BYTES = 2 * PATH_BYTES, COPY_BYTES = 1 << 16 };

/* Bytes from `start` to before `end`, written since the last sync. */
struct range {
    off_t start, end;
    struct range *next;
};

struct dirty_file {
    dev_t device;
    ino_t inode;
    struct range *ranges;
    struct dirty_file *next;
};

static const char *root, *shadow;
static size_t root_length;

/* Guards the list. */
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dirty_file *files;

/* One sync at a time, from taking its ranges to the end of their copy. */
static pthread_mutex_t sync_lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void)
{
    root = getenv("PC_ROOT");
    shadow = getenv("PC_SHADOW");
    if (!root || !shadow)
        root = NULL;
    else
        root_length = strlen(root);
}

static int is_ours(const char *path)
{
    return root && path[0] == '/' && strncmp(path, root, root_length) == 0;
}

/* The path of a descriptor if it is below the root. */
static const char *path_of(int fd, char path[PATH_BYTES])
{
    char link[64];
    if (!root)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_BYTES - 1);
    if (length <= 0)
        return NULL;
    path[length] = 0;
    return is_ours(path) ? path : NULL;
}

static void shadow_of(const char *path, char out[SHADOW_BYTES])
{
    snprintf(out, SHADOW_BYTES, "%s%s", shadow, path + root_length);
}

static void make_parents(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at == '/') {
            *at = 0;
            mkdir(path, 0777);
            *at = '/';
        }
    }
}

/* Opened by system call: our own files must not come back here. */
static int open_raw(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0666);
}

static struct dirty_file *find(const struct stat *file, int make)
{
    struct dirty_file *known = files;
    while (known && (known->device != file->st_dev || known->inode != file->st_ino))
        known = known->next;
    if (!known && make) {
        known = calloc(1, sizeof *known);
        known->device = file->st_dev;
        known->inode = file->st_ino;
        known->next = files;
        files = known;
    }
    return known;
}

/* Notes a write that has succeeded. */
static void note(int fd, off_t start, ssize_t bytes)
{
    char path[PATH_BYTES];
    struct stat file;
    int error = errno;
    if (bytes > 0 && path_of(fd, path) && fstat(fd, &file) == 0) {
        pthread_mutex_lock(&files_lock);
        struct dirty_file *dirty = find(&file, 1);
        if (dirty->ranges && dirty->ranges->end == start) {
            dirty->ranges->end += bytes;
        } else {
            struct range *range = malloc(sizeof *range);
            *range = (struct range){start, start + bytes, dirty->ranges};
            dirty->ranges = range;
        }
        pthread_mutex_unlock(&files_lock);
    }
    errno = error;
}

static struct range *take_ranges(const struct stat *file)
{
    struct range *ranges = NULL;
    pthread_mutex_lock(&files_lock);
    struct dirty_file *dirty = find(file, 0);
    if (dirty) {
        ranges = dirty->ranges;
        dirty->ranges = NULL;
    }
    pthread_mutex_unlock(&files_lock);
    return ranges;
}

static void copy_range(int from, int to, const struct range *range)
{
    static char buffer[COPY_BYTES]; /* guarded by sync_lock */
    off_t at = range->start;
    while (at < range->end) {
        size_t wanted = range->end - at < COPY_BYTES ? (size_t)(range->end - at) : COPY_BYTES;
        ssize_t got = syscall(SYS_pread64, from, buffer, wanted, at);
        if (got <= 0)
            return; /* the file was cut meanwhile */
        syscall(SYS_pwrite64, to, buffer, (size_t)got, at);
        at += got;
    }
}

/* The file's synced ranges, and its size if that has shrunk, to the shadow. */
static void copy_to_shadow(const char *path, struct range *ranges)
{
    char to_path[SHADOW_BYTES];
    shadow_of(path, to_path);
    int to = open_raw(to_path, O_CREAT | O_RDWR);
    if (to < 0) {
        make_parents(to_path);
        to = open_raw(to_path, O_CREAT | O_RDWR);
    }
    int from = open_raw(path, O_RDONLY);
    while (ranges) {
        struct range *next = ranges->next;
        if (from >= 0 && to >= 0)
            copy_range(from, to, ranges);
        free(ranges);
        ranges = next;
    }
    struct stat file, copy;
    if (from >= 0 && to >= 0 && fstat(from, &file) == 0 && fstat(to, &copy) == 0 &&
        file.st_size < copy.st_size)
        syscall(SYS_ftruncate, to, file.st_size);
    if (from >= 0)
        syscall(SYS_close, from);
    if (to >= 0)
        syscall(SYS_close, to);
}

static int sync_file(int fd, long call)
{
    char path[PATH_BYTES];
    struct stat file;
    if (!path_of(fd, path) || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return (int)syscall(call, fd);
    pthread_mutex_lock(&sync_lock);
    /* Only what was written before the call is covered by it. */
    struct range *ranges = take_ranges(&file);
    int result = (int)syscall(call, fd);
    int error = errno;
    if (result == 0)
        copy_to_shadow(path, ranges);
    pthread_mutex_unlock(&sync_lock);
    errno = error;
    return result;
}

int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, count, offset);
    note(fd, offset, written);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return pwrite64(fd, bytes, count, offset);
}

/* After a write at the descriptor's position (or at the end, for O_APPEND). */
static void note_at_position(int fd, ssize_t written)
{
    int error = errno;
    if (root && written > 0) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        if (end >= written)
            note(fd, end - written, written);
    }
    errno = error;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    ssize_t written = syscall(SYS_write, fd, bytes, count);
    note_at_position(fd, written);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t written = syscall(SYS_writev, fd, parts, count);
    note_at_position(fd, written);
    return written;
}

int rename(const char *from, const char *to)
{
    int result = (int)syscall(SYS_rename, from, to);
    if (result == 0 && is_ours(from)) {
        char shadow_from[SHADOW_BYTES], shadow_to[SHADOW_BYTES];
        shadow_of(from, shadow_from);
        shadow_of(to, shadow_to);
        make_parents(shadow_to);
        syscall(SYS_rename, shadow_from, shadow_to);
    }
    return result;
}

int unlink(const char *path)
{
    int result = (int)syscall(SYS_unlink, path);
    if (result == 0 && is_ours(path)) {
        char shadow_path[SHADOW_BYTES];
        shadow_of(path, shadow_path);
        syscall(SYS_unlink, shadow_path);
    }
    return result;
}
