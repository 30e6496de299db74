/* Images of a sandbox that runs: the mount is made here, detached, with the broker's view of the
 * world; then this process joins the sandbox's mount namespace, and only attaches or detaches. The
 * sandbox cannot change what it looks at: its tree and its root are read-only to it. */
#include "sandbox_steps.h"

#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOUNTINFO_MAX (1024 * 1024)

int sandbox_add_image(struct sandbox_template *template, int pidfd, uint32_t uid_first,
                      struct sandbox_image *image, char *why, size_t why_size)
{
    (void)template;
    CLEANUP_CLOSE int mount = -1, fuse = -1;
    struct sandbox_ids_map map = {.userns_fd = -1};
    image->fuse_fd = -1;
    int r = sandbox_mounts_image(image, uid_first, &map, &mount, &fuse, why, why_size);
    sandbox_ids_map_free(&map);
    if (r < 0) {
        return r;
    }
    if (setns(pidfd, CLONE_NEWNS) < 0) {
        return sandbox_why(why, why_size, -errno, "entering the sandbox");
    }
    r = sandbox_mounts_attach_contents(mount, image->contents);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "attaching the contents %s", image->contents);
    }
    image->fuse_fd = TAKE_FD(fuse);
    return 0;
}

/* The directory that holds `contents`; *ret_name points at the last component. */
static int enter_parent(char *contents, const char **ret_name)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                      RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    CLEANUP_CLOSE int tree = open(SANDBOX_TREE, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char *slash = strrchr(contents, '/');
    const char *parent = ".";
    *ret_name = contents;
    if (slash != NULL) {
        *slash = '\0';
        parent = contents;
        *ret_name = slash + 1;
    }
    if (tree < 0) {
        return -errno;
    }
    CLEANUP_CLOSE int fd = (int)syscall(SYS_openat2, tree, parent, &how, sizeof how);
    return fd < 0 || fchdir(fd) < 0 ? -errno : 0;
}

/* umount2(2) takes a name, which must not be followed, and asks nothing of what is mounted there:
 * a FUSE file system whose reader is dead or hostile is unmounted like any other. MNT_FORCE aborts
 * its connection (readers.h), which nothing could find again afterwards. */
int sandbox_remove_image(int pidfd, const char *contents)
{
    CLEANUP_FREE char *path = strdup(contents);
    const char *name;
    if (path == NULL) {
        return -ENOMEM;
    }
    if (setns(pidfd, CLONE_NEWNS) < 0) {
        return errno == ESRCH ? 0 : -errno; /* dead, and with it all its mounts */
    }
    int r = enter_parent(path, &name);
    if (r < 0) {
        return r;
    }
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return -EINVAL;
    }
    if (umount2(name, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) < 0) {
        return errno == EINVAL || errno == ENOENT ? 0 : -errno; /* nothing is mounted there */
    }
    return 0;
}

/* proc_pid_mountinfo(5) writes blanks, and what else would look like the end of a field, as three
 * octal digits. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] != '\0' &&
            from[3] != '\0') {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

int sandbox_each_image(pid_t pid, void (*visit)(const char *contents, void *user_data),
                       void *user_data)
{
    static const char tree[] = SANDBOX_TREE "/";
    char name[40];
    CLEANUP_FREE char *mountinfo = NULL;
    size_t length;
    snprintf(name, sizeof name, "/proc/%d/mountinfo", (int)pid);
    int r = text_read_file(AT_FDCWD, name, MOUNTINFO_MAX, &mountinfo, &length);
    char *rest = mountinfo;
    for (char *line; r == 0 && (line = strsep(&rest, "\n")) != NULL;) {
        int begin = 0, end = 0;
        if (sscanf(line, "%*u %*u %*u:%*u %*s %n%*s%n", &begin, &end) == 0 && end > begin) {
            line[end] = '\0';
            unescape(line + begin);
            if (strncmp(line + begin, tree, sizeof tree - 1) == 0) {
                visit(line + begin + sizeof tree - 1, user_data);
            }
        }
    }
    return r;
}
