/* Descriptors of OURS in each hierarchy, taken before the mount namespace changes; a share's group
 * is made, limited, emptied and removed below them in every hierarchy alike. */
#include "cgroup.h"

#include "cgroup_find.h"
#include "cleanup.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OURS      "cdss"
#define LEAF      "cdss-broker" /* where the broker goes, when its own group must have no process */
#define TEXT_MAX  (1024 * 1024)
#define KILLS_MAX 100 /* rounds of killing what a round before has forked */

struct hierarchy {
    int parent_fd, ours_fd; /* the broker's own group, and OURS below it */
    bool v2, memory, processes;
};

struct cgroups {
    struct hierarchy items[CGROUP_PLACES_MAX];
    size_t count;
};

/* --- files --- */

static int write_text(int dirfd, const char *name, const char *text)
{
    CLEANUP_CLOSE int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int write_number(int dirfd, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return write_text(dirfd, name, text);
}

static bool file_has_word(int dirfd, const char *name, const char *word)
{
    CLEANUP_FREE char *text = NULL;
    size_t length, size = strlen(word);
    if (text_read_file(dirfd, name, TEXT_MAX, &text, &length) < 0) {
        return false;
    }
    for (const char *c = text; *c != '\0';) {
        size_t part = strcspn(c, " \n");
        if (part == size && memcmp(c, word, size) == 0) {
            return true;
        }
        c += part + strspn(c + part, " \n");
    }
    return false;
}

static int open_directory(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int make_directory(int dirfd, const char *name)
{
    if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST) {
        return -errno;
    }
    return open_directory(dirfd, name);
}

/* An id is the broker's own, but a group's name must never be a path. */
static bool is_id(const char *id)
{
    return *id != '\0' && *id != '.' && strchr(id, '/') == NULL && strlen(id) <= 64;
}

/* --- finding and making OURS --- */

static bool has_processes(int group)
{
    CLEANUP_FREE char *text = NULL;
    size_t length;
    return text_read_file(group, "cgroup.procs", TEXT_MAX, &text, &length) < 0 || length > 0;
}

static bool is_root_group(int group)
{
    struct stat status;
    return fstatat(group, "cgroup.type", &status, 0) < 0 && errno == ENOENT;
}

/* A group of the unified hierarchy that gives its children controllers can hold no process itself
 * (cgroups(7), "no internal processes"), but for the root. So the broker moves into a leaf, which
 * helps when it was alone, as in a service with Delegate=yes; otherwise it moves back. This must be
 * settled before anything is enabled: "+pids" is accepted in a group with processes, and makes all
 * groups below it threaded, which nothing can enter. */
static bool vacate(int group)
{
    if (is_root_group(group) || !has_processes(group)) {
        return true;
    }
    CLEANUP_CLOSE int leaf = make_directory(group, LEAF);
    if (leaf >= 0 && write_text(leaf, "cgroup.procs", "0") == 0 && !has_processes(group)) {
        return true;
    }
    write_text(group, "cgroup.procs", "0");
    unlinkat(group, LEAF, AT_REMOVEDIR);
    return false;
}

/* Who keeps a group that was made for shares gives way to them: into the leaf, too. */
static void move_keeper(int group)
{
    CLEANUP_FREE char *text = NULL;
    size_t length;
    CLEANUP_CLOSE int leaf = has_processes(group) ? make_directory(group, LEAF) : -1;
    if (leaf < 0 || text_read_file(group, "cgroup.procs", TEXT_MAX, &text, &length) < 0) {
        return;
    }
    for (char *line = text, *end; *line != '\0'; line = end + (*end == '\n')) {
        long pid = strtol(line, &end, 10);
        if (end == line) {
            break;
        }
        write_number(leaf, "cgroup.procs", (uint64_t)pid);
    }
}

static bool enable(const struct hierarchy *hierarchy, const char *controller, const char *word)
{
    return file_has_word(hierarchy->parent_fd, "cgroup.controllers", controller) &&
           write_text(hierarchy->parent_fd, "cgroup.subtree_control", word) == 0 &&
           write_text(hierarchy->ours_fd, "cgroup.subtree_control", word) == 0;
}

static void enable_v2(struct hierarchy *hierarchy)
{
    bool wanted = file_has_word(hierarchy->parent_fd, "cgroup.controllers", "memory") ||
                  file_has_word(hierarchy->parent_fd, "cgroup.controllers", "pids") ||
                  file_has_word(hierarchy->parent_fd, "cgroup.controllers", "cpu");
    if (wanted && vacate(hierarchy->parent_fd)) {
        hierarchy->memory = enable(hierarchy, "memory", "+memory");
        hierarchy->processes = enable(hierarchy, "pids", "+pids");
        enable(hierarchy, "cpu", "+cpu"); /* each share weighs the same, whatever runs in it */
    }
}

/* A broker that was started from one of its own (by its own command line, by a test) is in LEAF. */
static void leave_leaf(char *path)
{
    char *name = strrchr(path, '/');
    if (name != NULL && strcmp(name + 1, LEAF) == 0) {
        *name = '\0';
    }
}

static bool open_hierarchy(struct cgroup_place *place, bool is_own, struct hierarchy *ret)
{
    leave_leaf(place->path);
    CLEANUP_CLOSE int parent = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int ours = parent < 0 ? -1 : make_directory(parent, OURS);
    if (ours < 0) {
        return false; /* read-only, or not ours: a container, for instance */
    }
    *ret = (struct hierarchy){.parent_fd = TAKE_FD(parent),
                              .ours_fd = TAKE_FD(ours),
                              .v2 = place->v2,
                              .memory = place->memory,
                              .processes = place->processes};
    if (ret->v2) {
        if (!is_own) {
            move_keeper(ret->parent_fd);
        }
        enable_v2(ret);
    }
    return true;
}

/* The places for `own`, which is lines as in /proc/self/cgroup. */
static void open_hierarchies(struct cgroups *cgroups, const char *mountinfo, const char *own,
                             bool is_own, struct cgroup_place *places)
{
    size_t found = cgroup_find(mountinfo, own, places);
    for (size_t i = 0; i < found; i++) {
        cgroups->count += open_hierarchy(&places[i], is_own, &cgroups->items[cgroups->count]);
    }
}

int cgroups_open(const char *above, struct cgroups **ret)
{
    CLEANUP_FREE struct cgroup_place *places = calloc(CGROUP_PLACES_MAX, sizeof *places);
    CLEANUP_FREE char *mountinfo = NULL;
    CLEANUP_FREE char *own = NULL;
    CLEANUP_TEXT struct text other = {0};
    struct cgroups *cgroups = calloc(1, sizeof *cgroups);
    size_t length;
    if (cgroups == NULL || places == NULL) {
        free(cgroups);
        return -ENOMEM;
    }
    if (text_read_file(AT_FDCWD, "/proc/self/mountinfo", TEXT_MAX, &mountinfo, &length) == 0 &&
        text_read_file(AT_FDCWD, "/proc/self/cgroup", TEXT_MAX, &own, &length) == 0) {
        if (above != NULL) {
            text_format(&other, "0::%s\n1:cpu,memory,pids:%s\n", above, above);
        }
        if (text_ok(&other) && other.length > 0) {
            open_hierarchies(cgroups, mountinfo, other.data, false, places);
        }
        if (cgroups->count == 0) {
            open_hierarchies(cgroups, mountinfo, own, true, places);
        }
    }
    *ret = cgroups;
    return 0;
}

void cgroups_close(struct cgroups *cgroups)
{
    if (cgroups == NULL) {
        return;
    }
    for (size_t i = 0; i < cgroups->count; i++) {
        unlinkat(cgroups->items[i].parent_fd, OURS, AT_REMOVEDIR); /* fails while shares live */
        close(cgroups->items[i].ours_fd);
        close(cgroups->items[i].parent_fd);
    }
    free(cgroups);
}

bool cgroups_limit_memory(const struct cgroups *cgroups)
{
    for (size_t i = 0; i < cgroups->count; i++) {
        if (cgroups->items[i].memory) {
            return true;
        }
    }
    return false;
}

bool cgroups_limit_processes(const struct cgroups *cgroups)
{
    for (size_t i = 0; i < cgroups->count; i++) {
        if (cgroups->items[i].processes) {
            return true;
        }
    }
    return false;
}

bool cgroups_unified(const struct cgroups *cgroups)
{
    for (size_t i = 0; i < cgroups->count; i++) {
        if (cgroups->items[i].v2) {
            return true;
        }
    }
    return false;
}

/* --- a share's group --- */

static int limit(const struct hierarchy *hierarchy, int group, const struct cgroup_limits *limits)
{
    int r = 0;
    if (hierarchy->memory) {
        const char *name = hierarchy->v2 ? "memory.max" : "memory.limit_in_bytes";
        r = write_number(group, name, limits->memory);
        if (hierarchy->v2) { /* not there without swap */
            write_text(group, "memory.swap.max", "0");
        }
    }
    if (r == 0 && hierarchy->processes) {
        r = write_number(group, "pids.max", limits->processes);
    }
    return r;
}

static int create_in(const struct hierarchy *hierarchy, const char *id,
                     const struct cgroup_limits *limits, int *ret_v2_fd)
{
    CLEANUP_CLOSE int group = make_directory(hierarchy->ours_fd, id);
    if (group < 0) {
        return group;
    }
    int r = limit(hierarchy, group, limits);
    if (r == 0 && hierarchy->v2) {
        *ret_v2_fd = TAKE_FD(group);
    }
    return r;
}

int cgroup_create(struct cgroups *cgroups, const char *id, const struct cgroup_limits *limits,
                  int *ret_v2_fd)
{
    CLEANUP_CLOSE int v2_fd = -1;
    int r = is_id(id) ? 0 : -EINVAL;
    for (size_t i = 0; i < cgroups->count && r == 0; i++) {
        r = create_in(&cgroups->items[i], id, limits, &v2_fd);
    }
    if (r < 0) {
        if (r != -EINVAL) {
            cgroup_remove(cgroups, id);
        }
        return r;
    }
    *ret_v2_fd = TAKE_FD(v2_fd);
    return 0;
}

/* To move a thread of its own costs nothing; to move another process, or one with threads, makes
 * the kernel hold up every fork(2) and exit of the machine and wait for an RCU grace period, some
 * milliseconds on an idle machine. v1 has a file for the former, and whoever is cloned then is in
 * the group from its first moment. */
void cgroup_visit(struct cgroups *cgroups, const char *id)
{
    for (size_t i = 0; i < cgroups->count && is_id(id); i++) {
        if (!cgroups->items[i].v2) {
            CLEANUP_CLOSE int group = open_directory(cgroups->items[i].ours_fd, id);
            if (group >= 0) {
                write_text(group, "tasks", "0");
            }
        }
    }
}

static int enter(int group, pid_t pid)
{
    char number[24];
    snprintf(number, sizeof number, "%d", (int)pid);
    return file_has_word(group, "cgroup.procs", number)
               ? 0
               : write_number(group, "cgroup.procs", (uint64_t)pid);
}

int cgroup_enter(struct cgroups *cgroups, const char *id, pid_t pid)
{
    int r = is_id(id) ? 0 : -EINVAL;
    for (size_t i = 0; i < cgroups->count && r == 0; i++) {
        CLEANUP_CLOSE int group = open_directory(cgroups->items[i].ours_fd, id);
        r = group < 0 ? group : enter(group, pid);
    }
    return r;
}

/* How many processes there were to kill, or a negative errno. The list is of now: no number in it
 * is older than the read(2) that got it. */
static int kill_members(int group)
{
    CLEANUP_FREE char *text = NULL;
    size_t length;
    int count = 0;
    int r = text_read_file(group, "cgroup.procs", TEXT_MAX, &text, &length);
    if (r < 0) {
        return r;
    }
    for (char *line = text, *end; *line != '\0'; line = end + (*end == '\n')) {
        long pid = strtol(line, &end, 10);
        if (end == line) {
            break;
        }
        if (pid > 1 && pid != getpid()) { /* 0: of another PID namespace */
            kill((pid_t)pid, SIGKILL);
            count++;
        }
    }
    return count;
}

static int kill_in(const struct hierarchy *hierarchy, const char *id)
{
    CLEANUP_CLOSE int group = open_directory(hierarchy->ours_fd, id);
    if (group < 0) {
        return group == -ENOENT ? 0 : group;
    }
    if (hierarchy->v2 && write_text(group, "cgroup.kill", "1") == 0) {
        return 0; /* Linux 5.14 */
    }
    int killed = 1;
    for (int round = 0; round < KILLS_MAX && killed > 0; round++) {
        killed = kill_members(group);
        if (killed > 0) {
            usleep(1000);
        }
    }
    return killed > 0 ? -EAGAIN : killed;
}

int cgroup_kill(struct cgroups *cgroups, const char *id)
{
    int result = is_id(id) ? 0 : -EINVAL;
    for (size_t i = 0; i < cgroups->count && result != -EINVAL; i++) {
        int r = kill_in(&cgroups->items[i], id);
        result = r < 0 ? r : result;
    }
    return result;
}

static int visit_threads(const struct hierarchy *hierarchy, const char *id,
                         void (*visit)(pid_t tid, void *user_data), void *user_data)
{
    CLEANUP_CLOSE int group = open_directory(hierarchy->ours_fd, id);
    CLEANUP_FREE char *text = NULL;
    size_t length;
    if (group < 0) {
        return group == -ENOENT ? 0 : group;
    }
    const char *name = hierarchy->v2 ? "cgroup.threads" : "tasks";
    int r = text_read_file(group, name, TEXT_MAX, &text, &length);
    for (char *line = text, *end; r == 0 && *line != '\0'; line = end + (*end == '\n')) {
        long tid = strtol(line, &end, 10);
        if (end == line) {
            break;
        }
        if (tid > 1) { /* 0: of another PID namespace */
            visit((pid_t)tid, user_data);
        }
    }
    return r;
}

int cgroup_each_thread(struct cgroups *cgroups, const char *id,
                       void (*visit)(pid_t tid, void *user_data), void *user_data)
{
    int r = is_id(id) ? 0 : -EINVAL;
    if (r == 0 && cgroups->count > 0) { /* every process is in every hierarchy */
        r = visit_threads(&cgroups->items[0], id, visit, user_data);
    }
    return r;
}

int cgroup_remove(struct cgroups *cgroups, const char *id)
{
    int result = is_id(id) ? 0 : -EINVAL;
    for (size_t i = 0; i < cgroups->count && result != -EINVAL; i++) {
        if (unlinkat(cgroups->items[i].ours_fd, id, AT_REMOVEDIR) < 0 && errno != ENOENT) {
            result = -errno;
        }
    }
    return result;
}

/* --- the sweep --- */

static bool is_seen(const struct cgroups *cgroups, size_t before, const char *id)
{
    struct stat status;
    for (size_t i = 0; i < before; i++) {
        if (fstatat(cgroups->items[i].ours_fd, id, &status, AT_SYMLINK_NOFOLLOW) == 0) {
            return true;
        }
    }
    return false;
}

static int visit_hierarchy(const struct cgroups *cgroups, size_t index,
                           void (*visit)(const char *id, void *user_data), void *user_data)
{
    int fd = open_directory(cgroups->items[index].ours_fd, ".");
    CLEANUP_DIR DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        int error = fd < 0 ? fd : -errno;
        cleanup_close_fd(&fd);
        return error;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_type == DT_DIR && is_id(entry->d_name) &&
            !is_seen(cgroups, index, entry->d_name)) {
            visit(entry->d_name, user_data);
        }
    }
    return 0;
}

int cgroups_each(struct cgroups *cgroups, void (*visit)(const char *id, void *user_data),
                 void *user_data)
{
    int r = 0;
    for (size_t i = 0; i < cgroups->count && r == 0; i++) {
        r = visit_hierarchy(cgroups, i, visit, user_data);
    }
    return r;
}
