/* One table says it all; an id map is text that the kernel takes in one write(2). */
#include "sandbox_ids.h"

#include "cleanup.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* By id, as the kernel wants them; the position in the share's block stands beside it. */
static const struct {
    uint32_t id, offset;
} ids[SANDBOX_IDS] = {
    {SANDBOX_ROOT, 0}, {SANDBOX_USER, 2}, {SANDBOX_PRIVATE, 3}, {SANDBOX_NOBODY, 1}};

uint32_t sandbox_host_id(uint32_t uid_first, uint32_t id)
{
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        if (ids[i].id == id) {
            return uid_first + ids[i].offset;
        }
    }
    return UINT32_MAX;
}

static int write_file(int dirfd, const char *name, const char *text)
{
    CLEANUP_CLOSE int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        return -errno;
    }
    return 0;
}

int sandbox_ids_map(int proc_fd, uint32_t uid_first)
{
    char map[SANDBOX_IDS * 32];
    int used = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        used += snprintf(map + used, sizeof map - (size_t)used, "%u %u 1\n", ids[i].id,
                         uid_first + ids[i].offset);
    }
    int r = write_file(proc_fd, "uid_map", map);
    return r < 0 ? r : write_file(proc_fd, "gid_map", map);
}

/* In a mount's map the left side is the id on disk, the right side the id that the kernel sees. */
static int write_mount_map(int proc_fd, const char *name, uint32_t uid_first, uint32_t on_disk)
{
    char map[64];
    uint32_t user = sandbox_host_id(uid_first, SANDBOX_USER);
    uint32_t root = sandbox_host_id(uid_first, SANDBOX_ROOT);
    if (on_disk == 0) {
        snprintf(map, sizeof map, "0 %u 1\n", user);
    } else {
        snprintf(map, sizeof map, "0 %u 1\n%u %u 1\n", root, on_disk, user);
    }
    return write_file(proc_fd, name, map);
}

static int fill_namespace(pid_t pid, uint32_t uid_first, uid_t owner, gid_t group, int *ret)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    CLEANUP_CLOSE int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0) {
        return -errno;
    }
    int r = write_mount_map(proc, "uid_map", uid_first, owner);
    if (r == 0) {
        r = write_mount_map(proc, "gid_map", uid_first, group);
    }
    if (r < 0) {
        return r;
    }
    int fd = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    *ret = fd;
    return 0;
}

static _Noreturn void wait_for_the_end(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    while (getppid() == parent) {
        pause();
    }
    _exit(0);
}

/* The namespace is held by its descriptor afterwards; a process is needed only to make it. Without
 * an exit signal, a caller that reaps any child does not meet this one. */
int sandbox_ids_namespace(uint32_t uid_first, uid_t owner, gid_t group, int *ret)
{
    struct clone_args arguments = {.flags = CLONE_NEWUSER};
    pid_t parent = getpid();
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        wait_for_the_end(parent);
    }
    int r = fill_namespace(pid, uid_first, owner, group, ret);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR) {
    }
    return r;
}

int sandbox_ids_map_for(struct sandbox_ids_map *map, uint32_t uid_first, int directory_fd)
{
    struct stat status;
    int userns_fd;

    if (fstat(directory_fd, &status) < 0) {
        return -errno;
    }
    if (map->userns_fd >= 0 && map->owner == status.st_uid && map->group == status.st_gid) {
        return 0;
    }
    int r = sandbox_ids_namespace(uid_first, status.st_uid, status.st_gid, &userns_fd);
    if (r < 0) {
        return r;
    }
    sandbox_ids_map_free(map);
    *map = (struct sandbox_ids_map){status.st_uid, status.st_gid, userns_fd};
    return 0;
}

void sandbox_ids_map_free(struct sandbox_ids_map *map)
{
    cleanup_close_fd(&map->userns_fd);
}
