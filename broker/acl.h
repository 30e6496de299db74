/*
 * As much of access control lists (acl(5)) as it takes to let some users through a door that stays
 * closed for others.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum { ACL_MAY_ENTER = 1, ACL_MAY_CONNECT = 6 };

/* Gives exactly these users, beside owner and group, a permission on a file or directory (no
 * symlink is followed); with none of them the list is taken away. 0 or a negative errno:
 * -EOPNOTSUPP where the filesystem has no such lists. */
int acl_let_in(const char *path, const uid_t *users, size_t n_users, unsigned permission);
