/* Two texts of lines. A group's directory is the mount point and what its path has below the
 * mount's root; a process outside that root (a container's view) is taken to be at the mount. */
#include "cgroup_find.h"

#include "cleanup.h"

#include <stdio.h>
#include <string.h>

struct mount_line {
    char root[PATH_MAX], point[PATH_MAX];
    char type[32], options[256];
};

/* A path with blanks in it is written \040; control groups are never mounted on such. */
static bool parse_mount(const char *line, struct mount_line *ret)
{
    const char *rest = strstr(line, " - "), *end = strchr(line, '\n');
    return rest != NULL && (end == NULL || rest < end) &&
           sscanf(line, "%*d %*d %*s %4095s %4095s", ret->root, ret->point) == 2 &&
           sscanf(rest, " - %31s %*s %255s", ret->type, ret->options) == 2;
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
                            (!place->processes || places[i].processes)) {
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
        if (ret->memory || ret->processes) {
            path = find_own(own, ret->memory ? "memory" : "pids");
        }
    }
    return path != NULL && join(mount, path, ret->path);
}

size_t cgroup_find(const char *mountinfo, const char *own, struct cgroup_place *places)
{
    size_t count = 0;
    for (const char *line = mountinfo;
         line != NULL && *line != '\0' && count < CGROUP_PLACES_MAX;) {
        struct mount_line mount;
        if (parse_mount(line, &mount) && place_of(&mount, own, &places[count]) &&
            !is_known(places, count, &places[count])) {
            count++;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return count;
}
