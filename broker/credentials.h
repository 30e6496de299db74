/*
 * The only function of the broker that changes credentials: whoever stops being root, stops here.
 * credentials(7), capabilities(7), user_namespaces(7).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct credentials {
    uid_t uid; /* ids as the calling process's user namespace numbers them */
    gid_t gid;
    uint64_t keep; /* capabilities that stay, as bits; only together with uid 0 */
};

/* What the root of a sandbox keeps in its own user namespace: enough to chroot and to become the
 * share's other users, and no more. */
extern const uint64_t CREDENTIALS_SANDBOX_KEEP;

/* Changes the calling process, for good: no supplementary groups, these ids in every place, the
 * capabilities of `keep` and no others in every set including the bounding set, no_new_privs,
 * not dumpable. The process must be single-threaded and have CAP_SETPCAP, CAP_SETGID and
 * CAP_SETUID.
 *
 * 0 or a negative errno; -EROFS when the new identity could write to its root directory (a process
 * that can is one planted library away from running somebody else's code), -EINVAL for `keep` with
 * another uid than 0. After a failure the process is in between and must exit. */
int credentials_change(const struct credentials *to);

/* For a root that stays root: no capability outside `keep`, in any set, for good. 0 or a negative
 * errno. */
int credentials_bound(uint64_t keep);
