/* Images of a sandbox that runs: the mount is made here, detached, with the broker's view of the
 * world; then this process joins the sandbox's mount namespace, and only attaches or detaches. The
 * sandbox cannot change what it looks at: its tree and its root are read-only to it. */
#include "sandbox_steps.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

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
