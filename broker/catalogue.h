/*
 * What there is to share: the repository, looked at when it is asked for. Regular files only:
 * symlinks, devices, FIFOs, sockets, and files named .passwd or *.passwd are neither listed nor
 * shared; a symlinked directory and other filesystems below are not entered. Names that
 * parse_image_path() refuses are left out.
 */
#pragma once

#include "image.h"

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct catalogue_entry {
    const char *path; /* borrowed for the call */
    struct image_info info;
    bool is_protected; /* IMAGE.passwd beside it, or .passwd in a directory above */
};

/* The scan reads at most this many entries, and directories at most this deep. */
#define CATALOGUE_ENTRIES_MAX 100000u
#define CATALOGUE_DEPTH_MAX   64u

/* Called for each image in the order of strcmp(3) on paths; non-zero ends the scan with that value.
 */
typedef int catalogue_visitor(const struct catalogue_entry *entry, void *user_data);

/* `pattern`: "" for all; with one of *?[ an fnmatch(3) pattern for the whole path ('*' matches '/'
 * too); otherwise a part of the path, case ignored. 0 or a negative errno: -EFBIG when there were
 * more entries, after the images found so far. Reads from each image that matches, so it may wait
 * for the disk. */
int catalogue_scan(int repository_fd, const char *pattern, catalogue_visitor *visitor,
                   void *user_data);

/* True when nobody but root and the repository's owner, and groups that may write there anyway, can
 * change the file. */
bool catalogue_is_trusted(const struct stat *file, const struct stat *repository);

struct catalogue_image {
    int fd; /* O_RDONLY; owned by the caller */
    dev_t device;
    ino_t inode;
    uid_t owner;
    gid_t group;
    mode_t mode;
    struct image_info info;
};

/* Opens one image beneath the repository, once and for all. `path` has passed parse_image_path().
 * 0 or a negative errno; *ret_why is a phrase that finishes "The image "x" ...": "is not in the
 * repository", "is not a regular file", "may be changed by others than root and the repository's
 * owner". */
int catalogue_open(int repository_fd, const char *path, struct catalogue_image *ret,
                   const char **ret_why);
