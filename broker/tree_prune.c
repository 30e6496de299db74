/*
 * Whoever was adding to a tree may have died anywhere: what belongs to the share is known, and
 * everything else goes, whatever state it is in. Depth first; directories that lead nowhere go
 * last.
 */
#include "tree.h"

#include "beneath.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 512 /* an image's path has at most that many components */

struct pruning {
    bool look; /* and take nothing */
    bool found;
    const char *const *keep;
    size_t n_keep;
    int error; /* the first one; the others are tried all the same */
};

static bool is_kept(const struct pruning *pruning, const char *path)
{
    for (size_t i = 0; i < pruning->n_keep; i++) {
        if (strcmp(pruning->keep[i], path) == 0) {
            return true;
        }
    }
    return false;
}

/* A directory on the way to something that is kept. */
static bool leads_somewhere(const struct pruning *pruning, const char *path)
{
    size_t length = strlen(path);

    for (size_t i = 0; i < pruning->n_keep; i++) {
        if (strncmp(pruning->keep[i], path, length) == 0 && pruning->keep[i][length] == '/') {
            return true;
        }
    }
    return false;
}

static void remove_one(struct pruning *pruning, int fd, const char *name, int flags)
{
    /* A directory that still leads to something stays. */
    if (unlinkat(fd, name, flags) < 0 && errno != ENOENT && errno != ENOTEMPTY &&
        pruning->error == 0) {
        pruning->error = -errno;
    }
}

static void prune(struct pruning *pruning, int parent_fd, const char *name, const char *path,
                  unsigned depth)
{
    int fd = beneath_open(parent_fd, name, O_RDONLY | O_DIRECTORY);
    CLEANUP_DIR DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    char below[4096];

    if (directory == NULL || depth > DEPTH_MAX) {
        pruning->error = pruning->error != 0 ? pruning->error : -ENOTDIR;
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        int length = snprintf(below, sizeof below, "%s%s%s", path, path[0] != '\0' ? "/" : "",
                              entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            length >= (int)sizeof below || is_kept(pruning, below)) {
            continue;
        }
        if (pruning->look && !leads_somewhere(pruning, below)) {
            pruning->found = true;
            return;
        }
        if (!pruning->look && (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT)) {
            continue; /* a link; a directory says EISDIR */
        }
        prune(pruning, fd, entry->d_name, below, depth + 1);
        if (!pruning->look) {
            remove_one(pruning, fd, entry->d_name, AT_REMOVEDIR);
        }
    }
}

int tree_has_strangers(int shares_fd, const char *id, const char *const *keep, size_t n_keep)
{
    struct pruning pruning = {.look = true, .keep = keep, .n_keep = n_keep};

    if (!tree_is_id(id)) {
        return -EINVAL;
    }
    prune(&pruning, shares_fd, id, "", 0);
    return pruning.error != 0 ? pruning.error : pruning.found;
}

int tree_prune(int shares_fd, const char *id, const char *const *keep, size_t n_keep)
{
    struct pruning pruning = {.keep = keep, .n_keep = n_keep};

    if (!tree_is_id(id)) {
        return -EINVAL;
    }
    prune(&pruning, shares_fd, id, "", 0);
    return pruning.error;
}
