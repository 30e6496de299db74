/*
 * Removing trees. The rename comes first: from then on nobody finds the tree by its id, and what a
 * crash leaves behind has a name that says so.
 */
#include "tree.h"

#include "beneath.h"
#include "cleanup.h"
#include "registry.h"
#include "stopping_point.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ENTRIES_MAX 1000000u /* more than images and directories of the largest share */
#define TOMBSTONE   ".gone-"
#define NAME_SIZE   (sizeof TOMBSTONE - 1 + SHARE_ID_SIZE)
#define TRIES       4

/* Somebody who was still building the tree may put something into it while it is emptied. */
static int remove_tombstone(int shares_fd, const char *name)
{
    int r = -ENOTEMPTY;

    for (int i = 0; i < TRIES && (r == -ENOTEMPTY || r == -EEXIST); i++) {
        r = beneath_remove(shares_fd, name, ENTRIES_MAX);
    }
    return r;
}

int tree_remove(int shares_fd, const char *id)
{
    char name[NAME_SIZE];

    if (!tree_is_id(id)) {
        return -EINVAL;
    }
    snprintf(name, sizeof name, TOMBSTONE "%s", id);
    int r = remove_tombstone(shares_fd, name); /* of an earlier try; rename would meet it */
    if (r < 0) {
        return r;
    }
    if (renameat(shares_fd, id, shares_fd, name) < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    STOPPING_POINT("end.tree_renamed");
    return remove_tombstone(shares_fd, name);
}

/* The id in a tree's or a tombstone's name, or NULL. */
static const char *id_in(const char *name)
{
    const char *id =
        strncmp(name, TOMBSTONE, strlen(TOMBSTONE)) == 0 ? name + strlen(TOMBSTONE) : name;
    return tree_is_id(id) ? id : NULL;
}

/* A tombstone beside a tree that is kept cannot be: ids are not used twice. All the same its tree
 * must stay. */
static int sweep_entry(int shares_fd, const char *name, bool (*keep)(const char *, void *),
                       void *user_data)
{
    const char *id = id_in(name);

    if (id == NULL) {
        return 0;
    }
    if (id != name) {
        return remove_tombstone(shares_fd, name);
    }
    return keep(id, user_data) ? 0 : tree_remove(shares_fd, id);
}

struct names {
    char (*items)[NAME_SIZE];
    size_t count, capacity;
};

static int add_name(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity > 0 ? 2 * names->capacity : 64;
        void *items = reallocarray(names->items, capacity, sizeof *names->items);
        if (items == NULL) {
            return -ENOMEM;
        }
        names->items = items;
        names->capacity = capacity;
    }
    return text_copy(names->items[names->count++], NAME_SIZE, name);
}

/* All names first: a directory that is changed while it is read may skip entries. */
static int read_names(int shares_fd, struct names *names)
{
    CLEANUP_CLOSE int fd = beneath_open(shares_fd, ".", O_RDONLY | O_DIRECTORY);
    CLEANUP_DIR DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int r = 0;

    if (directory == NULL) {
        return fd < 0 ? fd : -errno;
    }
    TAKE_FD(fd);
    while (r == 0 && (errno = 0, entry = readdir(directory)) != NULL) {
        r = id_in(entry->d_name) != NULL ? add_name(names, entry->d_name) : 0;
    }
    return r < 0 ? r : -errno;
}

int tree_sweep(int shares_fd, bool (*keep)(const char *id, void *user_data), void *user_data)
{
    struct names names = {0};
    int result = read_names(shares_fd, &names);

    for (size_t i = 0; i < names.count; i++) {
        int r = sweep_entry(shares_fd, names.items[i], keep, user_data);
        result = result < 0 ? result : r;
    }
    free(names.items);
    return result;
}
