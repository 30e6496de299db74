/*
 * The only way to open something by a path that somebody else had a hand in: openat2(2) with
 * RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS. O_CLOEXEC is always added.
 * Each returns a descriptor (or 0) or a negative errno; -ELOOP or -EXDEV where a path tries to
 * leave.
 */
#pragma once

#include <sys/types.h>

int beneath_open(int dirfd, const char *path, int flags);
int beneath_create(int dirfd, const char *path, int flags, mode_t mode);

/* Makes every directory of `path` that is missing, like mkdir -p, and returns a descriptor of the
 * last (O_PATH | O_DIRECTORY). "" is the directory itself. */
int beneath_make_directories(int dirfd, const char *path, mode_t mode);

/* Opens the directory that holds the last component of `path` (O_PATH), and points *ret_name at
 * that component inside `path`. */
int beneath_open_parent(int dirfd, const char *path, const char **ret_name);

/* Removes `name` in `dirfd` with all that is below, never following a symlink, never leaving the
 * filesystem. At most `limit` entries, then -EFBIG. 0 also when it is not there. */
int beneath_remove(int dirfd, const char *name, unsigned limit);
