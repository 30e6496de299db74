/*
 * The scan goes depth first with one descriptor a level; every open is of one name in the directory
 * that was read, so nothing is resolved twice.
 */
#include "catalogue.h"

#include "beneath.h"
#include "catalogue_directory.h"
#include "cleanup.h"
#include "parse.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct scan {
    const char *pattern;
    bool is_glob;
    catalogue_visitor *visitor;
    void *user_data;
    dev_t device;
    unsigned left; /* entries that may still be read */
    bool cut;
    char path[IMAGE_PATH_MAX + 1];
};

static bool matches(const struct scan *scan, const char *path)
{
    return scan->is_glob ? fnmatch(scan->pattern, path, 0) == 0
                         : strcasestr(path, scan->pattern) != NULL;
}

static bool is_here(const struct scan *scan, int fd, mode_t type)
{
    struct stat status;
    return fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == type &&
           status.st_dev == scan->device;
}

/* What was a file when the directory was read may be something else now: O_NONBLOCK keeps a FIFO
 * from holding us up, and only then is it looked at. What cannot be read is left out. */
static int visit_file(struct scan *scan, int directory_fd, const char *name, bool is_protected)
{
    struct image_path checked;
    struct catalogue_entry entry = {.path = scan->path, .is_protected = is_protected};

    if (!matches(scan, scan->path) ||
        parse_image_path(scan->path, strlen(scan->path), &checked, NULL) < 0) {
        return 0;
    }
    CLEANUP_CLOSE int fd = beneath_open(directory_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || !is_here(scan, fd, S_IFREG) || image_probe(fd, &entry.info) < 0) {
        return 0;
    }
    return scan->visitor(&entry, scan->user_data);
}

static int scan_directory(struct scan *scan, int fd, size_t length, unsigned depth,
                          bool is_protected);

static int enter(struct scan *scan, int parent_fd, const char *name, size_t length, unsigned depth,
                 bool is_protected)
{
    if (depth >= CATALOGUE_DEPTH_MAX) {
        return 0;
    }
    CLEANUP_CLOSE int fd = beneath_open(parent_fd, name, O_RDONLY | O_DIRECTORY);
    if (fd < 0 || !is_here(scan, fd, S_IFDIR)) {
        return 0;
    }
    return scan_directory(scan, TAKE_FD(fd), length, depth, is_protected);
}

/* One name of a directory whose path is the first `length` bytes of scan->path. */
static int visit_name(struct scan *scan, const struct catalogue_directory *directory,
                      const struct catalogue_name *name, size_t length, unsigned depth,
                      bool is_protected)
{
    size_t more = strlen(name->key);

    if (length + more >= sizeof scan->path) {
        return 0;
    }
    memcpy(scan->path + length, name->key, more + 1);
    if (name->is_directory) {
        return enter(scan, directory->fd, name->key, length + more, depth + 1, is_protected);
    }
    return visit_file(scan, directory->fd, name->key,
                      is_protected || catalogue_directory_guards(directory, name->key));
}

/* Takes `fd` over. Recursion is bounded by CATALOGUE_DEPTH_MAX. */
static int scan_directory(struct scan *scan, int fd, size_t length, unsigned depth,
                          bool is_protected)
{
    struct catalogue_directory directory;
    int r = catalogue_directory_read(fd, &scan->left, &scan->cut, &directory);

    if (r < 0) {
        return r;
    }
    is_protected |= catalogue_directory_guards(&directory, "");
    for (size_t i = 0; r == 0 && i < directory.count; i++) {
        r = visit_name(scan, &directory, &directory.names[i], length, depth, is_protected);
    }
    catalogue_directory_free(&directory);
    return r;
}

int catalogue_scan(int repository_fd, const char *pattern, catalogue_visitor *visitor,
                   void *user_data)
{
    struct scan scan = {.pattern = pattern,
                        .is_glob = strpbrk(pattern, "*?[") != NULL,
                        .visitor = visitor,
                        .user_data = user_data,
                        .left = CATALOGUE_ENTRIES_MAX};
    struct stat status;
    CLEANUP_CLOSE int fd = beneath_open(repository_fd, ".", O_RDONLY | O_DIRECTORY);

    if (fd < 0 || fstat(fd, &status) < 0) {
        return fd < 0 ? fd : -errno;
    }
    scan.device = status.st_dev;
    int r = scan_directory(&scan, TAKE_FD(fd), 0, 0, false);
    return r == 0 && scan.cut ? -EFBIG : r;
}

/* Group-writable is well for the groups that have a hand in the repository anyway. */
bool catalogue_is_trusted(const struct stat *image, const struct stat *repository)
{
    bool owner = image->st_uid == 0 || image->st_uid == repository->st_uid;
    bool group = (image->st_mode & S_IWGRP) == 0 || image->st_gid == 0 ||
                 image->st_gid == repository->st_gid;
    return owner && group && (image->st_mode & S_IWOTH) == 0;
}

/* Why an image is not shared, or NULL. */
static const char *objection(const struct stat *image, const struct stat *repository)
{
    if (!S_ISREG(image->st_mode)) {
        return "is not a regular file";
    }
    if (image->st_dev != repository->st_dev) {
        return "is on another filesystem than the repository";
    }
    if (!catalogue_is_trusted(image, repository)) {
        return "may be changed by others than root and the repository's owner";
    }
    return NULL;
}

/* Finds it without opening it: an open has effects on a FIFO or a device. */
static int find(int repository_fd, const char *path, struct stat *ret, const char **ret_why)
{
    struct stat repository;
    CLEANUP_CLOSE int fd = beneath_open(repository_fd, path, O_PATH);

    if (fd < 0) {
        *ret_why = fd == -ELOOP                      ? "is not a regular file"
                   : fd == -ENOENT || fd == -ENOTDIR ? "is not in the repository"
                                                     : "cannot be opened";
        return fd;
    }
    if (fstat(fd, ret) < 0 || fstat(repository_fd, &repository) < 0) {
        *ret_why = "cannot be opened";
        return -errno;
    }
    *ret_why = objection(ret, &repository);
    return *ret_why == NULL ? TAKE_FD(fd) : -EPERM;
}

/* The same file, whatever its path has come to mean: by its descriptor. */
static int reopen(int path_fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", path_fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int catalogue_open(int repository_fd, const char *path, struct catalogue_image *ret,
                   const char **ret_why)
{
    const char *why;
    struct image_info info;
    struct stat status;

    CLEANUP_CLOSE int path_fd = find(repository_fd, path, &status, &why);
    if (path_fd < 0) {
        *ret_why = why;
        return path_fd;
    }
    CLEANUP_CLOSE int fd = reopen(path_fd);
    int r = fd < 0 ? fd : image_probe(fd, &info);
    if (r < 0) {
        *ret_why = "cannot be read";
        return r;
    }
    *ret = (struct catalogue_image){.fd = TAKE_FD(fd),
                                    .device = status.st_dev,
                                    .inode = status.st_ino,
                                    .owner = status.st_uid,
                                    .group = status.st_gid,
                                    .mode = status.st_mode,
                                    .info = info};
    return 0;
}
