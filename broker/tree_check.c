/*
 * A hard link needs the same mount, not only the same filesystem (link(2), EXDEV): statx(2) tells
 * both.
 */
#include "tree.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 4096

static int open_directory(const char *path, const char *key, struct statx *ret, char *why,
                          size_t why_size)
{
    CLEANUP_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, ret) < 0) {
        int r = -errno;
        snprintf(why, why_size, "[repository] %s: %s: %s", key, path, strerror(-r));
        return r;
    }
    return TAKE_FD(fd);
}

static bool same_file(const struct statx *a, const struct statx *b)
{
    return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
           a->stx_dev_minor == b->stx_dev_minor;
}

/* True when `outer` is `fd` or one of the directories above it. */
static bool lies_in(int fd, const struct statx *outer)
{
    CLEANUP_CLOSE int at = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct statx status, below = {0};

    for (int i = 0; at >= 0 && i < DEPTH_MAX; i++) {
        if (statx(at, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) < 0 ||
            same_file(&status, &below)) {
            return false; /* the root is its own parent */
        }
        if (same_file(&status, outer)) {
            return true;
        }
        below = status;
        int parent = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = parent;
    }
    return false;
}

static int refuse(int error, char *why, size_t why_size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int refuse(int error, char *why, size_t why_size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, why_size, format, arguments);
    va_end(arguments);
    return error;
}

static int check_owner(const struct statx *status, const char *shares, char *why, size_t why_size)
{
    if (status->stx_uid != 0 || (status->stx_mode & 07777) != 0700) {
        return refuse(-EPERM, why, why_size,
                      "%s must belong to root with mode 0700: it holds links to files whatever "
                      "protects them (chown root %s; chmod 0700 %s)",
                      shares, shares, shares);
    }
    return 0;
}

static int check_together(const struct statx *a, const struct statx *b, const char *images,
                          const char *shares, char *why, size_t why_size)
{
    if (a->stx_dev_major != b->stx_dev_major || a->stx_dev_minor != b->stx_dev_minor) {
        return refuse(-EXDEV, why, why_size,
                      "%s and %s are not on one filesystem: images are shared as hard links, so "
                      "put [repository] shares beside images",
                      images, shares);
    }
    if ((a->stx_mask & b->stx_mask & STATX_MNT_ID) != 0 && a->stx_mnt_id != b->stx_mnt_id) {
        return refuse(-EXDEV, why, why_size,
                      "%s and %s are reached through different mounts of one filesystem, and hard "
                      "links do not cross mounts (a bind mount, or ReadWritePaths= of a unit?)",
                      images, shares);
    }
    return 0;
}

static int check_shares(int images_fd, const struct statx *images_status, const char *images,
                        const char *shares, char *why, size_t why_size)
{
    struct statx status;

    CLEANUP_CLOSE int shares_fd = open_directory(shares, "shares", &status, why, why_size);
    if (shares_fd < 0) {
        return shares_fd;
    }
    if (lies_in(shares_fd, images_status) || lies_in(images_fd, &status)) {
        return refuse(-EINVAL, why, why_size,
                      "%s and %s lie one in the other: put them side by side", images, shares);
    }
    int r = check_owner(&status, shares, why, why_size);
    return r < 0 ? r : check_together(images_status, &status, images, shares, why, why_size);
}

int tree_check(const char *images, const char *shares, char *why, size_t why_size)
{
    struct statx images_status;

    CLEANUP_CLOSE int images_fd = open_directory(images, "images", &images_status, why, why_size);
    if (images_fd < 0) {
        return images_fd;
    }
    bool made = mkdir(shares, 0700) == 0;
    if (!made && errno != EEXIST) {
        return refuse(-errno, why, why_size, "%s cannot be made: %s", shares, strerror(errno));
    }
    int r = check_shares(images_fd, &images_status, images, shares, why, why_size);
    if (r < 0 && made) {
        rmdir(shares); /* a refusal changes nothing */
    }
    return r;
}
