/* Everything that a sandbox will see is made here as detached mounts (open_tree(2), fsmount(2)) by
 * the process that prepares the share: by descriptors, in the broker's mount namespace, with its
 * errors at hand, before there is a process to clean up after. The new process only attaches. */
#include "sandbox_steps.h"

#include "cleanup.h"
#include "readers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VAR_SIZE   "16m"
#define VAR_INODES "4096"

static const struct {
    const char *name;
    mode_t mode;
    uint32_t owner; /* id in the sandbox; the group is the same */
} var_directories[] = {{"cfg", 0755, SANDBOX_ROOT},       {"tmp", 01777, SANDBOX_ROOT},
                       {"run", 0755, SANDBOX_ROOT},       {"log", 0755, SANDBOX_ROOT},
                       {"lib", 0755, SANDBOX_ROOT},       {"cache", 0755, SANDBOX_ROOT},
                       {"empty", 0555, SANDBOX_ROOT},     {"share", 0700, SANDBOX_USER},
                       {"private", 0700, SANDBOX_PRIVATE}};

int sandbox_why(char *why, size_t size, int error, const char *step, ...)
{
    if (why == NULL || size == 0) {
        return error;
    }
    va_list arguments;
    va_start(arguments, step);
    int used = vsnprintf(why, size, step, arguments);
    va_end(arguments);
    if (used > 0 && (size_t)used < size) {
        snprintf(why + used, size - (size_t)used, ": %s", strerror(-error));
    }
    return error;
}

int sandbox_mounts_attach(int mount_fd, int dirfd, const char *path)
{
    return move_mount(mount_fd, "", dirfd, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/* RESOLVE_NO_XDEV: nothing that is mounted already, least of all FUSE, is ever walked through. */
static int open_contents(const char *contents)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                      RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    CLEANUP_CLOSE int tree = open(SANDBOX_TREE, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (tree < 0) {
        return -errno;
    }
    int fd = (int)syscall(SYS_openat2, tree, contents, &how, sizeof how);
    return fd < 0 ? -errno : fd;
}

int sandbox_mounts_attach_contents(int mount_fd, const char *contents)
{
    CLEANUP_CLOSE int target = open_contents(contents);
    if (target < 0) {
        return target;
    }
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    return move_mount(mount_fd, "", target, "", flags) < 0 ? -errno : 0;
}

int sandbox_mounts_clone(int fd, const char *path, uint64_t attributes, int userns_fd, int *ret)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                          attributes,
                              .propagation = MS_PRIVATE};
    struct mount_attr idmap = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    CLEANUP_CLOSE int mount = open_tree(fd, path, flags);
    if (mount < 0 || mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0) {
        return -errno;
    }
    /* Alone, so that EINVAL can only mean a filesystem that has no id-mapped mounts. */
    if (userns_fd >= 0 && mount_setattr(mount, "", AT_EMPTY_PATH, &idmap, sizeof idmap) < 0) {
        return errno == EINVAL ? -EOPNOTSUPP : -errno;
    }
    *ret = TAKE_FD(mount);
    return 0;
}

struct fs_option {
    const char *key, *value; /* NULL: a flag */
};

/* The kernel's reason, where it gives one, is what fsopen(2) says can be read from the context. */
static int mount_filesystem(const char *type, const struct fs_option *options, size_t count,
                            unsigned attributes, int *ret)
{
    CLEANUP_CLOSE int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0) {
        return -errno;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned command = options[i].value != NULL ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
        if (fsconfig(fs, command, options[i].key, options[i].value, 0) < 0) {
            return -errno;
        }
    }
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        return -errno;
    }
    int mount = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    if (mount < 0) {
        return -errno;
    }
    *ret = mount;
    return 0;
}

int sandbox_mounts_proc(void)
{
    static const struct fs_option options[] = {
        {"source", "proc"}, {"hidepid", "2"}, {"subset", "pid"}};
    CLEANUP_CLOSE int mount = -1;
    int r = mount_filesystem(
        "proc", options, ARRAY_SIZE(options),
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &mount);
    return r < 0 ? r : sandbox_mounts_attach(mount, AT_FDCWD, "/proc");
}

static int mount_fuse(int *ret_mount, int *ret_device)
{
    char number[16];
    CLEANUP_CLOSE int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0) {
        return -errno;
    }
    snprintf(number, sizeof number, "%d", device);
    const struct fs_option options[] = {
        {"source", READERS_SOURCE}, {"fd", number}, {"rootmode", "40000"}, {"user_id", "0"},
        {"group_id", "0"},          {"ro", NULL},   {"allow_other", NULL}};
    int r = mount_filesystem(
        "fuse", options, ARRAY_SIZE(options),
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, ret_mount);
    if (r == 0) {
        *ret_device = TAKE_FD(device);
    }
    return r;
}

/* Who owns the file in the repository says nothing about who owns what is in it: mostly root, or
 * whoever made the image; he has its root directory. */
static int clone_image(const struct sandbox_image *image, uint32_t uid_first,
                       struct sandbox_ids_map *map, int *ret)
{
    int r = image->idmap ? sandbox_ids_map_for(map, uid_first, image->mount_fd) : 0;

    return r < 0 ? r
                 : sandbox_mounts_clone(image->mount_fd, "", MOUNT_ATTR_NOEXEC,
                                        image->idmap ? map->userns_fd : -1, ret);
}

int sandbox_mounts_image(const struct sandbox_image *image, uint32_t uid_first,
                         struct sandbox_ids_map *map, int *ret_mount, int *ret_fuse, char *why,
                         size_t why_size)
{
    int r = image->mount_fd < 0 ? mount_fuse(ret_mount, ret_fuse)
                                : clone_image(image, uid_first, map, ret_mount);

    return r < 0 ? sandbox_why(why, why_size, r, "mounting the contents %s", image->contents) : 0;
}

static int make_file(int cfg, uint32_t uid_first, const struct sandbox_file *file)
{
    uint32_t reader = sandbox_host_id(uid_first, file->owner);
    if (reader == UINT32_MAX || strchr(file->name, '/') != NULL) {
        return -EINVAL;
    }
    CLEANUP_CLOSE int fd =
        openat(cfg, file->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    size_t length = strlen(file->text);
    ssize_t written = write(fd, file->text, length);
    if (written != (ssize_t)length) {
        return written < 0 ? -errno : -ENOSPC;
    }
    if (fchown(fd, sandbox_host_id(uid_first, SANDBOX_ROOT), reader) < 0 || fchmod(fd, 0640) < 0) {
        return -errno;
    }
    return 0;
}

/* chmod after chown and not by the umask: both matter for a sticky directory. */
static int make_directory(int var, uint32_t uid_first, size_t i)
{
    const char *name = var_directories[i].name;
    uint32_t owner = sandbox_host_id(uid_first, var_directories[i].owner);
    if (mkdirat(var, name, 0700) < 0 ||
        fchownat(var, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(var, name, var_directories[i].mode, 0) < 0) {
        return -errno;
    }
    return 0;
}

static int fill_var(int var, const struct sandbox_request *request)
{
    uint32_t root = sandbox_host_id(request->uid_first, SANDBOX_ROOT);
    int r = fchownat(var, "", root, root, AT_EMPTY_PATH) < 0 ? -errno : 0;
    for (size_t i = 0; i < ARRAY_SIZE(var_directories) && r == 0; i++) {
        r = make_directory(var, request->uid_first, i);
    }
    if (r < 0) {
        return r;
    }
    CLEANUP_CLOSE int cfg = openat(var, "cfg", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (cfg < 0) {
        return -errno;
    }
    for (uint32_t i = 0; i < request->n_files && r == 0; i++) {
        r = make_file(cfg, request->uid_first, &request->files[i]);
    }
    return r;
}

static int make_var(const struct sandbox_request *request, int *ret, char *why, size_t why_size)
{
    static const struct fs_option options[] = {
        {"source", "var"}, {"size", VAR_SIZE}, {"nr_inodes", VAR_INODES}, {"mode", "755"}};
    int r = mount_filesystem("tmpfs", options, ARRAY_SIZE(options),
                             MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, ret);
    if (r == 0) {
        r = fill_var(*ret, request);
    }
    return r < 0 ? sandbox_why(why, why_size, r, "making /var") : 0;
}

/* A repository's filesystem without id-mapped mounts is shown plainly: then only what everybody
 * may read can be read, which is less, never more. */
static int make_tree(const struct sandbox_request *request, int userns_fd, int *ret, char *why,
                     size_t why_size)
{
    int r = sandbox_mounts_clone(request->tree_fd, "", MOUNT_ATTR_NOEXEC, userns_fd, ret);
    if (r == -EOPNOTSUPP) {
        r = sandbox_mounts_clone(request->tree_fd, "", MOUNT_ATTR_NOEXEC, -1, ret);
    }
    return r < 0 ? sandbox_why(why, why_size, r, "mounting the tree") : 0;
}

static int make_all(const struct sandbox_request *request, struct sandbox_mounts *mounts, char *why,
                    size_t why_size)
{
    struct sandbox_ids_map map = {request->owner, request->group, -1};
    int r = sandbox_ids_namespace(request->uid_first, map.owner, map.group, &map.userns_fd);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "making the id map of its mounts");
    }
    r = make_var(request, &mounts->var, why, why_size);
    if (r == 0) {
        r = make_tree(request, map.userns_fd, &mounts->tree, why, why_size);
    }
    for (uint32_t i = 0; i < request->n_images && r == 0; i++) {
        r = sandbox_mounts_image(&request->images[i], request->uid_first, &map, &mounts->images[i],
                                 &mounts->fuse[i], why, why_size);
    }
    sandbox_ids_map_free(&map);
    return r;
}

int sandbox_mounts_make(const struct sandbox_request *request, struct sandbox_mounts *ret,
                        char *why, size_t why_size)
{
    size_t count = request->n_images > 0 ? request->n_images : 1;
    struct sandbox_mounts mounts = {.var = -1,
                                    .tree = -1,
                                    .images = malloc(count * sizeof(int)),
                                    .fuse = malloc(count * sizeof(int)),
                                    .wanted = request->images};
    int r = -ENOMEM;
    if (mounts.images != NULL && mounts.fuse != NULL) {
        mounts.n_images = request->n_images;
        for (uint32_t i = 0; i < mounts.n_images; i++) {
            mounts.images[i] = mounts.fuse[i] = -1;
        }
        r = make_all(request, &mounts, why, why_size);
    } else {
        sandbox_why(why, why_size, r, "allocating");
    }
    if (r < 0) {
        sandbox_mounts_free(&mounts);
        return r;
    }
    *ret = mounts;
    return 0;
}

void sandbox_mounts_free(struct sandbox_mounts *mounts)
{
    for (uint32_t i = 0; i < mounts->n_images; i++) {
        cleanup_close_fd(&mounts->images[i]);
        cleanup_close_fd(&mounts->fuse[i]);
    }
    cleanup_close_fd(&mounts->var);
    cleanup_close_fd(&mounts->tree);
    free(mounts->images);
    free(mounts->fuse);
}
