/*
 * A share's tree: SHARES/ID/ with hard links to its images at their repository paths, and an empty
 * directory beside each image that can be mounted, where its contents are shown: the name without
 * its extension, or with ".contents" added when that name is taken. Directories 0755 root (those
 * for contents 0555), below SHARES which is 0700 root. By descriptors throughout; the id is random
 * and made by the broker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* There is nothing to hold: functions work on the descriptor of SHARES. An `id` is 16 of 0-9 a-f,
 * anything else is -EINVAL. */
bool tree_is_id(const char *text);

/* Checks once at start that both directories are there, on one filesystem (hard links), that SHARES
 * is root's and 0700 (it is made so when missing), and that neither lies in the other. 0 or
 * negative errno with a sentence in `why`. */
int tree_check(const char *images, const char *shares, char *why, size_t why_size);

int tree_create(int shares_fd, const char *id);

/* Links the open image at `path`. -EEXIST when that is taken (the same path twice) or leads through
 * the contents of another image, -ENOTDIR when it leads through another image. -EXDEV when the
 * image is not on the filesystem of SHARES or was opened by another mount of it: open both
 * directories in the same mount namespace. Needs CAP_DAC_READ_SEARCH. */
int tree_link(int shares_fd, const char *id, int image_fd, const char *path);

/* Makes the directory for the contents of `path` and returns its path in the tree through
 * ret_contents (at least IMAGE_PATH_MAX + 16 bytes). Call it after all images are linked. */
int tree_make_contents(int shares_fd, const char *id, const char *path, char *ret_contents,
                       size_t size);

/* Takes back only the directory for the contents of an image. 0 also when it is gone already. */
int tree_remove_contents(int shares_fd, const char *id, const char *contents);

/* Takes back whatever is in the tree but these paths (links and contents directories) and the
 * directories that lead to them, however far who put it there had come. */
int tree_prune(int shares_fd, const char *id, const char *const *keep, size_t n_keep);

/* Looks whether there is anything that tree_prune() would take. 1, 0, or a negative errno. */
int tree_has_strangers(int shares_fd, const char *id, const char *const *keep, size_t n_keep);

/* Removes the whole tree: renamed to a tombstone (".gone-ID") first, then emptied. 0 also when it
 * is gone already. */
int tree_remove(int shares_fd, const char *id);

/* At the start of the broker: removes every tree whose id is not kept, and all tombstones. Entries
 * with other names are nobody's trees and stay. 0, or the first error after all were tried. */
int tree_sweep(int shares_fd, bool (*keep)(const char *id, void *user_data), void *user_data);
