/*
 * The tree is written by the broker alone, below a directory that only root can enter; names in it
 * come from users all the same, hence openat2(2) throughout.
 *
 * A directory that will show contents is 0555, one that leads to images 0755: that is how a later
 * image is kept from being linked where a mount hides it.
 */
#include "tree.h"

#include "beneath.h"
#include "cleanup.h"
#include "parse.h"
#include "registry.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

#define MODE_PARENT   0755
#define MODE_CONTENTS 0555

#define CONTENTS_MAX  99 /* NAME.contents.99 */
#define EXTENSION_MAX 8  /* ".squashfs" */

bool tree_is_id(const char *text)
{
    return strlen(text) == SHARE_ID_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == SHARE_ID_SIZE - 1;
}

static int open_tree_of(int shares_fd, const char *id)
{
    return tree_is_id(id) ? beneath_open(shares_fd, id, O_PATH | O_DIRECTORY) : -EINVAL;
}

/* mkdirat(2) whatever the umask is. */
static int make_directory(int dirfd, const char *path, mode_t mode)
{
    if (mkdirat(dirfd, path, mode) < 0 || fchmodat(dirfd, path, mode, 0) < 0) {
        return -errno;
    }
    return 0;
}

int tree_create(int shares_fd, const char *id)
{
    return tree_is_id(id) ? make_directory(shares_fd, id, MODE_PARENT) : -EINVAL;
}

static bool leads_to_images(int directory_fd)
{
    struct stat status;
    return fstat(directory_fd, &status) == 0 && (status.st_mode & 07777) == MODE_PARENT;
}

/* Replaces *fd by its child, which is made when it is missing and must lead to images. */
static int descend(int *fd, const char *name)
{
    int r = make_directory(*fd, name, MODE_PARENT);

    if (r < 0 && r != -EEXIST) {
        return r;
    }
    CLEANUP_CLOSE int child = beneath_open(*fd, name, O_PATH | O_DIRECTORY);
    if (child < 0) {
        return child;
    }
    if (!leads_to_images(child)) {
        return -EEXIST;
    }
    close(*fd);
    *fd = TAKE_FD(child);
    return 0;
}

/* The directory that will hold the last component of `path`. */
static int make_parents(int tree_fd, const char *path, const char **ret_name)
{
    CLEANUP_CLOSE int fd = beneath_open(tree_fd, ".", O_PATH | O_DIRECTORY);
    const char *slash;

    while (fd >= 0 && (slash = strchr(path, '/')) != NULL) {
        char name[NAME_MAX + 1];
        if (snprintf(name, sizeof name, "%.*s", (int)(slash - path), path) >= (int)sizeof name) {
            return -ENAMETOOLONG;
        }
        int r = descend(&fd, name);
        if (r < 0) {
            return r;
        }
        path = slash + 1;
    }
    *ret_name = path;
    return TAKE_FD(fd);
}

/* Removes one entry of the tree; gone already is well. */
static int remove_entry(int tree_fd, const char *path, int flags)
{
    const char *name;
    CLEANUP_CLOSE int parent_fd = beneath_open_parent(tree_fd, path, &name);
    int r = parent_fd < 0 ? parent_fd : 0;

    if (r == 0 && unlinkat(parent_fd, name, flags) < 0) {
        r = -errno;
    }
    return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* Removes the directories on the way to `path`, from the last up to the first that is not empty. */
static void remove_parents(int tree_fd, const char *path)
{
    char parent[IMAGE_PATH_MAX + 1];
    char *slash;

    snprintf(parent, sizeof parent, "%s", path);
    while ((slash = strrchr(parent, '/')) != NULL) {
        *slash = '\0';
        CLEANUP_CLOSE int fd = beneath_open(tree_fd, parent, O_PATH | O_DIRECTORY);
        if (fd >= 0 && (!leads_to_images(fd) || remove_entry(tree_fd, parent, AT_REMOVEDIR) < 0)) {
            return;
        }
    }
}

int tree_link(int shares_fd, const char *id, int image_fd, const char *path)
{
    CLEANUP_CLOSE int tree_fd = open_tree_of(shares_fd, id);
    const char *name;

    if (tree_fd < 0) {
        return tree_fd;
    }
    CLEANUP_CLOSE int parent_fd = make_parents(tree_fd, path, &name);
    if (parent_fd < 0) {
        return parent_fd;
    }
    if (linkat(image_fd, "", parent_fd, name, AT_EMPTY_PATH) < 0) {
        int r = -errno;
        remove_parents(tree_fd, path);
        return r;
    }
    return 0;
}

/* Bytes of `path` without its extension: a dot that is not the name's first character, and a few
 * letters and digits, not digits alone ("debian-12.5"). */
static size_t stem_length(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    bool letters = false;

    if (dot == NULL || dot == name || dot[1] == '\0' || strlen(dot + 1) > EXTENSION_MAX) {
        return strlen(path);
    }
    for (const char *at = dot + 1; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at)) {
            return strlen(path);
        }
        letters |= !isdigit((unsigned char)*at);
    }
    return letters ? (size_t)(dot - path) : strlen(path);
}

/* The n-th name to try: STEM, STEM.contents, STEM.contents.2, ... */
static int contents_name(const char *path, unsigned n, char *ret, size_t size)
{
    const int stem = (int)stem_length(path);
    int length = n == 0   ? snprintf(ret, size, "%.*s", stem, path)
                 : n == 1 ? snprintf(ret, size, "%.*s.contents", stem, path)
                          : snprintf(ret, size, "%.*s.contents.%u", stem, path, n);
    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

static int make_contents(int tree_fd, const char *path)
{
    const char *name;
    CLEANUP_CLOSE int parent_fd = beneath_open_parent(tree_fd, path, &name);
    return parent_fd < 0 ? parent_fd : make_directory(parent_fd, name, MODE_CONTENTS);
}

int tree_make_contents(int shares_fd, const char *id, const char *path, char *ret_contents,
                       size_t size)
{
    CLEANUP_CLOSE int tree_fd = open_tree_of(shares_fd, id);
    char contents[IMAGE_PATH_MAX + 16];
    int r = -EEXIST;

    if (tree_fd < 0) {
        return tree_fd;
    }
    for (unsigned n = 0; n <= CONTENTS_MAX && r == -EEXIST; n++) {
        r = contents_name(path, n, contents, MIN(size, sizeof contents));
        if (r == 0) {
            r = make_contents(tree_fd, contents);
        }
    }
    if (r == 0) {
        r = text_copy(ret_contents, size, contents);
    }
    return r;
}

int tree_remove_contents(int shares_fd, const char *id, const char *contents)
{
    CLEANUP_CLOSE int tree_fd = open_tree_of(shares_fd, id);

    if (tree_fd < 0) {
        return tree_fd == -ENOENT ? 0 : tree_fd;
    }
    return remove_entry(tree_fd, contents, AT_REMOVEDIR);
}
