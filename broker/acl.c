/* The extended attribute that acl_set_file(3) would write; the kernel checks it and keeps the
 * file's mode in step with it. */
#include "acl.h"

#include "cleanup.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define ATTRIBUTE "system.posix_acl_access"
#define OTHERS    4 /* entries beside the users': owner, group, mask, everybody */

static struct posix_acl_xattr_entry entry(unsigned tag, unsigned permission, uint32_t id)
{
    return (struct posix_acl_xattr_entry){.e_tag = htole16((uint16_t)tag),
                                          .e_perm = htole16((uint16_t)(permission & 7)),
                                          .e_id = htole32(id)};
}

static int take_away(const char *path)
{
    if (lremovexattr(path, ATTRIBUTE) < 0 && errno != ENODATA && errno != EOPNOTSUPP) {
        return -errno;
    }
    return 0;
}

int acl_let_in(const char *path, const uid_t *users, size_t n_users, unsigned permission)
{
    struct stat status;
    size_t size = sizeof(struct posix_acl_xattr_header) +
                  (n_users + OTHERS) * sizeof(struct posix_acl_xattr_entry);
    size_t n = 0;

    if (n_users == 0) {
        return take_away(path);
    }
    CLEANUP_FREE struct posix_acl_xattr_header *list = malloc(size);
    if (list == NULL || lstat(path, &status) < 0) {
        return list == NULL ? -ENOMEM : -errno;
    }
    list->a_version = htole32(POSIX_ACL_XATTR_VERSION);
    struct posix_acl_xattr_entry *entries = (struct posix_acl_xattr_entry *)(list + 1);
    unsigned group = (status.st_mode >> 3) & 7; /* or what an earlier list allows at most */
    entries[n++] = entry(ACL_USER_OBJ, status.st_mode >> 6, ACL_UNDEFINED_ID);
    for (size_t i = 0; i < n_users; i++) {
        entries[n++] = entry(ACL_USER, permission, users[i]);
    }
    entries[n++] = entry(ACL_GROUP_OBJ, group, ACL_UNDEFINED_ID);
    entries[n++] = entry(ACL_MASK, group | permission, ACL_UNDEFINED_ID);
    entries[n++] = entry(ACL_OTHER, status.st_mode, ACL_UNDEFINED_ID);
    return lsetxattr(path, ATTRIBUTE, list, size, 0) < 0 ? -errno : 0;
}
