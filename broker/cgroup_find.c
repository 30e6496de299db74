/* Mounts are read by libmount, the process's groups line by line. A group's directory is the mount
 * point and what its path has below the mount's root; a process outside that root (a container's
 * view) is taken to be at the mount. */
#include "cgroup_find.h"

#include "cleanup.h"

#include <libmount.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct mount_line { /* borrowed from libmount */
    const char *root, *point, *type, *options;
};

static bool take_mount(struct libmnt_fs *fs, struct mount_line *ret)
{
    const char *options = mnt_fs_get_fs_options(fs);
    *ret = (struct mount_line){.root = mnt_fs_get_root(fs),
                               .point = mnt_fs_get_target(fs),
                               .type = mnt_fs_get_fstype(fs),
                               .options = options != NULL ? options : ""};
    return ret->root != NULL && ret->point != NULL && ret->type != NULL;
}

/* A line that is none is left out. */
static int skip_line(struct libmnt_table *table, const char *file, int line)
{
    (void)table;
    (void)file;
    (void)line;
    return 1;
}

/* libmount's own reader of proc_pid_mountinfo(5), on our text. NULL: there is nothing. */
static struct libmnt_table *parse_mounts(const char *mountinfo)
{
    CLEANUP_FILE FILE *stream =
        *mountinfo != '\0' ? fmemopen((void *)(uintptr_t)mountinfo, strlen(mountinfo), "r") : NULL;
    struct libmnt_table *table = stream != NULL ? mnt_new_table() : NULL;
    if (table == NULL) {
        return NULL;
    }
    mnt_table_set_parser_errcb(table, skip_line);
    if (mnt_table_parse_stream(table, stream, "mountinfo") != 0) {
        mnt_unref_table(table);
        return NULL;
    }
    return table;
}

static bool has_word(const char *list, size_t length, const char *word)
{
    size_t size = strlen(word);
    for (const char *c = list; c < list + length;) {
        size_t part = strcspn(c, ",:\n");
        if (part == size && memcmp(c, word, size) == 0) {
            return true;
        }
        c += part + 1;
    }
    return false;
}

/* The path in /proc/self/cgroup ("4:memory:/x", or "0::/x" for NULL), up to the line's end. */
static const char *find_own(const char *own, const char *controller)
{
    for (const char *line = own; line != NULL && *line != '\0';) {
        const char *list = strchr(line, ':');
        const char *path = list != NULL ? strchr(list + 1, ':') : NULL;
        if (path == NULL) {
            return NULL;
        }
        bool fits = controller == NULL ? path == list + 1
                                       : has_word(list + 1, (size_t)(path - list - 1), controller);
        if (fits) {
            return path + 1;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return NULL;
}

static bool join(const struct mount_line *mount, const char *own, char *ret)
{
    size_t length = strcspn(own, "\n"), root = strlen(mount->root);
    if (strcmp(mount->root, "/") == 0) {
        root = 0;
    }
    bool below = length >= root && memcmp(own, mount->root, root) == 0 &&
                 (length == root || own[root] == '/') && strncmp(own, "/..", 3) != 0;
    const char *rest = below ? own + root : "";
    int rest_length = below ? (int)(length - root) : 0;
    if (rest_length == 1) { /* the root itself */
        rest_length = 0;
    }
    return snprintf(ret, PATH_MAX, "%s%.*s", mount->point, rest_length, rest) < PATH_MAX;
}

static bool is_known(const struct cgroup_place *places, size_t count,
                     const struct cgroup_place *place)
{
    for (size_t i = 0; i < count; i++) {
        if (place->v2 ? places[i].v2
                      : (!place->memory || places[i].memory) &&
                            (!place->processes || places[i].processes) &&
                            (!place->cpu || places[i].cpu)) {
            return true;
        }
    }
    return false;
}

static bool place_of(const struct mount_line *mount, const char *own, struct cgroup_place *ret)
{
    const char *path = NULL;
    size_t length = strlen(mount->options);
    *ret = (struct cgroup_place){.v2 = strcmp(mount->type, "cgroup2") == 0};
    if (ret->v2) {
        path = find_own(own, NULL);
    } else if (strcmp(mount->type, "cgroup") == 0) {
        ret->memory = has_word(mount->options, length, "memory");
        ret->processes = has_word(mount->options, length, "pids");
        ret->cpu = has_word(mount->options, length, "cpu");
        if (ret->memory || ret->processes || ret->cpu) {
            path = find_own(own, ret->memory ? "memory" : ret->processes ? "pids" : "cpu");
        }
    }
    return path != NULL && join(mount, path, ret->path);
}

size_t cgroup_find(const char *mountinfo, const char *own, struct cgroup_place *places)
{
    struct libmnt_table *table = parse_mounts(mountinfo);
    struct libmnt_iter *iterator = table != NULL ? mnt_new_iter(MNT_ITER_FORWARD) : NULL;
    struct libmnt_fs *fs;
    size_t count = 0;
    while (iterator != NULL && count < CGROUP_PLACES_MAX &&
           mnt_table_next_fs(table, iterator, &fs) == 0) {
        struct mount_line mount;
        if (take_mount(fs, &mount) && place_of(&mount, own, &places[count]) &&
            !is_known(places, count, &places[count])) {
            count++;
        }
    }
    mnt_free_iter(iterator);
    mnt_unref_table(table);
    return count;
}
