/*
 * Who is at the other end of a connection: from the kernel (unix(7), SO_PEERCRED and
 * SO_PEERGROUPS), never from the message. No NSS look-up is made here: group and user names were
 * resolved once, at start.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum peer_role {
    PEER_STRANGER = 0,
    PEER_WEB = 1 << 0,   /* a web front end: requests of users */
    PEER_ADMIN = 1 << 1, /* root, or a member of the administrators' group */
};

struct peer {
    pid_t pid;
    uid_t uid;
    enum peer_role role;
};

/* What roles are decided by; (gid_t)-1 when the administrators' group does not exist. */
struct peer_rules {
    gid_t admin_group;
    uid_t web_users[32];
    size_t n_web_users;
};

/* 0 or a negative errno. */
int peer_identify(int fd, const struct peer_rules *rules, struct peer *ret);
