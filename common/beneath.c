/*
 * openat2(2) has no wrapper in glibc 2.36. It answers EAGAIN when a rename elsewhere raced with it;
 * a few tries are enough, and the callers are told after that.
 */
#include "beneath.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES 32

static int open2(int dirfd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    for (int i = 0; i < TRIES; i++) {
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        }
    }
    return fd >= 0 ? (int)fd : -errno;
}

int beneath_open(int dirfd, const char *path, int flags)
{
    return open2(dirfd, path, flags, 0);
}

int beneath_create(int dirfd, const char *path, int flags, mode_t mode)
{
    return open2(dirfd, path, flags | O_CREAT, mode);
}

/* Replaces the directory *fd by its child `name`, which is made when it is missing. */
static int descend(int *fd, const char *name, mode_t mode)
{
    if (strcmp(name, "..") == 0) {
        return -EXDEV;
    }
    if (mkdirat(*fd, name, mode) < 0 && errno != EEXIST) {
        return -errno;
    }
    int child = beneath_open(*fd, name, O_PATH | O_DIRECTORY);
    if (child < 0) {
        return child;
    }
    close(*fd);
    *fd = child;
    return 0;
}

int beneath_make_directories(int dirfd, const char *path, mode_t mode)
{
    if (path[0] == '/') {
        return -EXDEV;
    }
    CLEANUP_CLOSE int fd = beneath_open(dirfd, ".", O_PATH | O_DIRECTORY);
    while (fd >= 0 && *path != '\0') {
        size_t length = strcspn(path, "/");
        char name[NAME_MAX + 1];
        if (length >= sizeof name) {
            return -ENAMETOOLONG;
        }
        memcpy(name, path, length);
        name[length] = '\0';
        int result = length > 0 ? descend(&fd, name, mode) : 0;
        if (result < 0) {
            return result;
        }
        path += length + (path[length] == '/');
    }
    return TAKE_FD(fd);
}

int beneath_open_parent(int dirfd, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return -EINVAL;
    }
    if (slash == path) {
        return -EXDEV;
    }
    char parent[PATH_MAX] = ".";
    if (slash != NULL) {
        size_t length = (size_t)(slash - path);
        if (length >= sizeof parent) {
            return -ENAMETOOLONG;
        }
        memcpy(parent, path, length);
        parent[length] = '\0';
    }
    int fd = beneath_open(dirfd, parent, O_PATH | O_DIRECTORY);
    if (fd >= 0) {
        *ret_name = name;
    }
    return fd;
}
