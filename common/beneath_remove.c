/*
 * Removing a tree with three descriptors, however deep it is: the directories inside a
 * subdirectory are first moved up into the top one, so that there are never more than two levels.
 * A mount point stops it: RESOLVE_NO_XDEV does not enter one, and rename(2) does not move one.
 */
#include "beneath.h"

#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct removal {
    int top;         /* the directory that is being emptied; borrowed */
    unsigned left;   /* entries that may still be removed */
    unsigned serial; /* the next name to try for a directory that moves up */
};

enum outcome { IS_DIRECTORY = 1 }; /* beside 0 and a negative errno */

typedef int visit(struct removal *removal, int dirfd, const char *name);

static int unlink_counted(struct removal *removal, int dirfd, const char *name, int flags)
{
    if (removal->left == 0) {
        return -EFBIG;
    }
    if (unlinkat(dirfd, name, flags) < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    removal->left--;
    return 0;
}

/* Asks unlink(2) itself what the entry is: a look before it could be out of date. */
static int remove_file(struct removal *removal, int dirfd, const char *name)
{
    int result = unlink_counted(removal, dirfd, name, 0);
    return result == -EISDIR ? IS_DIRECTORY : result;
}

static int open_directory(int dirfd, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof how);
    return fd >= 0 ? (int)fd : -errno;
}

static int visit_entries(struct removal *removal, DIR *entries, visit *function, bool *ret_any)
{
    errno = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        *ret_any = true;
        int result = function(removal, dirfd(entries), entry->d_name);
        if (result < 0) {
            return result;
        }
    }
    return -errno;
}

/* Again and again until a pass finds nothing: readdir(3) may miss entries while others go. Every
 * pass takes something away or fails, so this ends. Takes `fd` over. */
static int empty_directory(struct removal *removal, int fd, visit *function)
{
    CLEANUP_DIR DIR *entries = fdopendir(fd);
    if (entries == NULL) {
        int saved = errno;
        close(fd);
        return -saved;
    }
    bool any = true;
    int result = 0;
    while (result == 0 && any) {
        any = false;
        rewinddir(entries);
        result = visit_entries(removal, entries, function, &any);
    }
    return result;
}

static int move_up(struct removal *removal, int dirfd, const char *name)
{
    for (;;) {
        char new_name[32];
        snprintf(new_name, sizeof new_name, ".remove-%u", removal->serial++);
        if (renameat2(dirfd, name, removal->top, new_name, RENAME_NOREPLACE) == 0) {
            return 0;
        }
        if (errno != EEXIST) {
            return -errno;
        }
    }
}

/* In a subdirectory: files go, directories that are not empty move up. */
static int visit_below(struct removal *removal, int dirfd, const char *name)
{
    int result = remove_file(removal, dirfd, name);
    if (result == IS_DIRECTORY) {
        result = unlink_counted(removal, dirfd, name, AT_REMOVEDIR);
    }
    return result == -ENOTEMPTY ? move_up(removal, dirfd, name) : result;
}

/* Removes the directory `name` once `function` has emptied it. */
static int remove_directory(struct removal *removal, int dirfd, const char *name, visit *function)
{
    int fd = open_directory(dirfd, name);
    if (fd < 0) {
        return fd == -ENOENT ? 0 : fd;
    }
    if (removal->top < 0) {
        removal->top = fd;
    }
    int result = empty_directory(removal, fd, function);
    return result < 0 ? result : unlink_counted(removal, dirfd, name, AT_REMOVEDIR);
}

/* In the top directory. */
static int visit_top(struct removal *removal, int dirfd, const char *name)
{
    int result = remove_file(removal, dirfd, name);
    return result == IS_DIRECTORY ? remove_directory(removal, dirfd, name, visit_below) : result;
}

int beneath_remove(int dirfd, const char *name, unsigned limit)
{
    if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0) {
        return -EINVAL;
    }
    struct removal removal = {.top = -1, .left = limit};
    int result = remove_file(&removal, dirfd, name);
    return result == IS_DIRECTORY ? remove_directory(&removal, dirfd, name, visit_top) : result;
}
