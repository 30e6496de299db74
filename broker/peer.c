#include "peer.h"

#include "cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

/* SO_PEERCRED has no supplementary groups; SO_PEERGROUPS has. -ERANGE tells the size needed. */
static bool in_group(int fd, gid_t group, gid_t primary)
{
    socklen_t size = 0;

    if (group == (gid_t)-1) {
        return false;
    }
    if (group == primary) {
        return true;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE) {
        return false;
    }
    CLEANUP_FREE gid_t *groups = malloc(size);
    if (groups == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
        return false;
    }
    for (size_t i = 0; i < size / sizeof *groups; i++) {
        if (groups[i] == group) {
            return true;
        }
    }
    return false;
}

static bool is_web_user(const struct peer_rules *rules, uid_t uid)
{
    for (size_t i = 0; i < rules->n_web_users; i++) {
        if (rules->web_users[i] == uid) {
            return true;
        }
    }
    return false;
}

int peer_identify(int fd, const struct peer_rules *rules, struct peer *ret)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    enum peer_role role = PEER_STRANGER;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
        return -errno;
    }
    if (credentials.uid == 0 || in_group(fd, rules->admin_group, credentials.gid)) {
        role = PEER_ADMIN;
    } else if (is_web_user(rules, credentials.uid)) {
        role = PEER_WEB;
    }
    *ret = (struct peer){.pid = credentials.pid, .uid = credentials.uid, .role = role};
    return 0;
}
