#include "guards.h"

#include "beneath.h"
#include "catalogue.h"
#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".passwd"

/* -- one file -- */

/* Whoever could write into it could open what it guards. */
static const char *objection(const struct stat *file, int repository_fd)
{
    struct stat repository;

    if (!S_ISREG(file->st_mode)) {
        return "is not a regular file";
    }
    if (fstat(repository_fd, &repository) < 0 || !catalogue_is_trusted(file, &repository)) {
        return "may be changed by others than root and the repository's owner";
    }
    return file->st_size > PASSWD_FILE_MAX ? "is longer than 32 KiB" : NULL;
}

/* By the descriptor that was looked at: an open by name has effects on a FIFO, and finds another
 * file. One byte more than may be there tells whether it grows. */
static int read_file(int path_fd, char **ret, size_t *ret_length)
{
    char path[32];
    CLEANUP_FREE char *text = malloc(PASSWD_FILE_MAX + 1);
    size_t length = 0;

    snprintf(path, sizeof path, "/proc/self/fd/%d", path_fd);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (text == NULL || fd < 0) {
        return -EIO;
    }
    while (length <= PASSWD_FILE_MAX) {
        ssize_t got = read(fd, text + length, PASSWD_FILE_MAX + 1 - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            *ret = TAKE_PTR(text);
            *ret_length = length;
            return 0;
        }
        length += (size_t)got;
    }
    return -EFBIG;
}

static void read_guard(int path_fd, int repository_fd, const struct stat *status,
                       struct guard *guard)
{
    guard->trouble = objection(status, repository_fd);
    if (guard->trouble != NULL) {
        return;
    }
    guard->file = calloc(1, sizeof *guard->file);
    if (guard->file == NULL || read_file(path_fd, &guard->text, &guard->length) < 0) {
        guard->trouble = "cannot be read";
        return;
    }
    passwd_file_parse(guard->text, guard->length, guard->file);
    if (guard->file->n_entries == 0) {
        guard->trouble = "holds no password";
    }
}

/* A name that no file can have guards nothing. Any other failure to look guards. */
static bool is_absent(int error)
{
    return error == -ENOENT || error == -ENAMETOOLONG;
}

int guards_read(int repository_fd, int directory_fd, const char *name, const char *path,
                struct guard *ret)
{
    struct stat status;
    CLEANUP_CLOSE int fd = beneath_open(directory_fd, name, O_PATH | O_NOFOLLOW);

    if (is_absent(fd)) {
        return 0;
    }
    *ret = (struct guard){.trouble = "cannot be opened"};
    snprintf(ret->path, sizeof ret->path, "%s", path);
    if (fd >= 0 && fstat(fd, &status) == 0) {
        ret->device = status.st_dev;
        ret->inode = status.st_ino;
        read_guard(fd, repository_fd, &status, ret);
    }
    return 1;
}

void guards_free_one(struct guard *guard)
{
    free(guard->file);
    free(guard->text);
    *guard = (struct guard){0};
}

void guards_free(struct guards *guards)
{
    while (guards->count > 0) {
        guards_free_one(&guards->items[--guards->count]);
    }
}

/* -- the way to an image -- */

struct walk {
    struct guards *guards;
    struct guards_way way;
    struct text digested;
};

/* The place of this file among those that were met, after adding it; GUARDS_MAX: there is none
 * left. Takes over what `guard` owns. What could not even be looked at is each time another. */
static uint32_t place_of(struct guards *guards, struct guard *guard)
{
    for (uint32_t i = 0; guard->inode != 0 && i < guards->count; i++) {
        if (guards->items[i].device == guard->device && guards->items[i].inode == guard->inode) {
            guards_free_one(guard);
            return i;
        }
    }
    if (guards->count == GUARDS_MAX) {
        guards_free_one(guard);
        return GUARDS_MAX;
    }
    guards->items[guards->count] = *guard;
    return guards->count++;
}

static void digest_guard(struct text *digested, const char *path, const struct guard *guard)
{
    text_format(digested, "%s\n", path);
    if (guard->trouble != NULL) {
        text_format(digested, "! %s\n", guard->trouble);
    }
    for (uint32_t i = 0; guard->file != NULL && i < guard->file->n_entries; i++) {
        text_format(digested, "%s\n", guard->file->entries[i].hash);
    }
}

/* Meets a password file, if it is there: the name in the directory, whose path is the first
 * `length` bytes of `path`. */
static int meet(struct walk *walk, int directory_fd, const char *path, size_t length,
                const char *name)
{
    char where[GUARDS_PATH_SIZE];
    struct guard guard;

    snprintf(where, sizeof where, "%.*s%s", (int)length, path, name);
    if (guards_read(walk->guards->repository_fd, directory_fd, name, where, &guard) == 0) {
        return 0;
    }
    walk->way.is_guarded = true;
    uint32_t place = place_of(walk->guards, &guard);
    if (place == GUARDS_MAX) {
        text_format(&walk->digested, "%s\n! is one too many\n", where);
        return -E2BIG;
    }
    walk->way.guards |= UINT64_C(1) << place;
    digest_guard(&walk->digested, where, &walk->guards->items[place]);
    return 0;
}

/* The image itself, its own guard first. `name` is the last component. */
static int arrive(struct walk *walk, int directory_fd, const char *path, const char *name)
{
    char guard[NAME_MAX + sizeof SUFFIX];
    struct stat status;

    int length = snprintf(guard, sizeof guard, "%s" SUFFIX, name);
    int r = (size_t)length < sizeof guard
                ? meet(walk, directory_fd, path, (size_t)(name - path), guard)
                : 0;
    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        walk->way.is_there = true;
        walk->way.device = status.st_dev;
        walk->way.inode = status.st_ino;
    }
    return r;
}

static int enter(int *fd, const char *name, size_t length)
{
    char component[NAME_MAX + 1];

    if (length >= sizeof component) {
        return -ENAMETOOLONG;
    }
    memcpy(component, name, length);
    component[length] = '\0';
    int child = beneath_open(*fd, component, O_PATH | O_DIRECTORY);
    if (child < 0) {
        return child;
    }
    close(*fd);
    *fd = child;
    return 0;
}

static int walk_on(struct walk *walk, const char *path)
{
    CLEANUP_CLOSE int fd = beneath_open(walk->guards->repository_fd, ".", O_PATH | O_DIRECTORY);
    const char *name = path;
    int first = 0;

    while (fd >= 0) {
        int r = meet(walk, fd, path, (size_t)(name - path), SUFFIX);
        first = first < 0 ? first : r;
        const char *slash = strchr(name, '/');
        if (slash == NULL) {
            r = arrive(walk, fd, path, name);
            return first < 0 ? first : r;
        }
        if (enter(&fd, name, (size_t)(slash - name)) < 0) {
            return first; /* the rest of the way is not there */
        }
        name = slash + 1;
    }
    return fd;
}

int guards_walk(struct guards *guards, const char *path, struct guards_way *ret)
{
    struct walk walk = {.guards = guards};

    int r = walk_on(&walk, path);
    if (!text_ok(&walk.digested)) {
        r = -ENOMEM;
    } else if (walk.way.is_guarded) {
        sha256(walk.digested.data, walk.digested.length, &walk.way.digest);
    }
    text_free(&walk.digested);
    *ret = walk.way;
    return r;
}
