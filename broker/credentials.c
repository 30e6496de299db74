/* The order matters: the bounding set needs CAP_SETPCAP, groups need CAP_SETGID, so the uid is
 * changed after both, and the remaining capabilities go last. */
#include "credentials.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))

const uint64_t CREDENTIALS_SANDBOX_KEEP =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) |
    BIT(CAP_KILL) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SYS_CHROOT);

/* A read-only mount is safe from everybody; otherwise the permission bits must say so. */
static int refuse_writable_root(const struct credentials *to)
{
    struct statvfs filesystem;
    struct stat root;
    if (statvfs("/", &filesystem) < 0 || stat("/", &root) < 0) {
        return -errno;
    }
    if (filesystem.f_flag & ST_RDONLY) {
        return 0;
    }
    bool by_owner = root.st_uid == to->uid || to->uid == 0;
    bool by_group = root.st_gid == to->gid && (root.st_mode & S_IWGRP);
    return by_owner || by_group || (root.st_mode & S_IWOTH) ? -EROFS : 0;
}

static int drop_bounding_set(uint64_t keep)
{
    for (unsigned capability = 0; capability < 64; capability++) {
        int have = prctl(PR_CAPBSET_READ, (unsigned long)capability, 0, 0, 0);
        if (have < 0) {
            return errno == EINVAL ? 0 : -errno; /* behind the last one that this kernel has */
        }
        if (have == 1 && !(keep & BIT(capability)) &&
            prctl(PR_CAPBSET_DROP, (unsigned long)capability, 0, 0, 0) < 0) {
            return -errno;
        }
    }
    return 0;
}

static int keep_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
        {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
    };
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int change_ids(uid_t uid, gid_t gid)
{
    uid_t uids[3];
    gid_t gids[3];
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ||
        getresuid(&uids[0], &uids[1], &uids[2]) < 0 ||
        getresgid(&gids[0], &gids[1], &gids[2]) < 0) {
        return -errno;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (uids[i] != uid || gids[i] != gid) {
            return -EPERM;
        }
    }
    return 0;
}

int credentials_change(const struct credentials *to)
{
    if (to->keep != 0 && to->uid != 0) {
        return -EINVAL;
    }
    int r = refuse_writable_root(to);
    if (r < 0) {
        return r;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        return -errno;
    }
    r = drop_bounding_set(to->keep);
    if (r == 0) {
        r = change_ids(to->uid, to->gid);
    }
    if (r == 0) {
        r = keep_capabilities(to->keep);
    }
    if (r == 0 &&
        (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)) {
        r = -errno;
    }
    return r;
}

int credentials_bound(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    int r = drop_bounding_set(keep);
    if (r < 0) {
        return r;
    }
    if (syscall(SYS_capget, &header, data) < 0) {
        return -errno;
    }
    return keep_capabilities(keep & (data[0].permitted | (uint64_t)data[1].permitted << 32));
}
