/*
 * What the files of the sandbox share among themselves; sandbox.h is for everybody else.
 *
 *   sandbox_root.c    the template, made once
 *   sandbox_mounts.c  one share's mounts, made detached before there is a process
 *   sandbox_plan.c    the supervisor's plan, and the descriptors it names
 *   sandbox.c         the order of the steps, seen from the process that prepares the share
 *   sandbox_child.c   the same, seen from the new process
 *   sandbox_live.c    images of a sandbox that runs already
 */
#pragma once

#include "sandbox.h"
#include "sandbox_ids.h"
#include "sandbox_seccomp.h"

#include <stddef.h>
#include <stdint.h>

/* There is no /proc in a sandbox: with the host's network it would show all connections, neighbours
 * and routes of the host, in /proc/PID/net, whatever its mount options. But the runtime of
 * AddressSanitizer cannot start without it. */
#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_HAS_PROC 1
#else
#define SANDBOX_HAS_PROC 0
#endif

struct sandbox_template {
    /* A mount namespace with the template root and nothing else, from which each sandbox's
     * namespace is copied: it never sees the host's mounts, nor the images of other shares. */
    int namespace_fd;
    int supervisor_fd;
    struct sock_fprog filters[SANDBOX_NETWORKS];
};

/* Writes "STEP: REASON" and returns the error, for `return sandbox_why(...)`. */
int sandbox_why(char *why, size_t size, int error, const char *step, ...)
    __attribute__((format(printf, 4, 5)));

/* --- mounts --- */

/* Detached mounts, owned; -1 where there is none. */
struct sandbox_mounts {
    int var, tree;
    int *images;                        /* in the request's order */
    int *fuse;                          /* /dev/fuse of each image, -1 for the others */
    const struct sandbox_image *wanted; /* borrowed */
    uint32_t n_images;
};

/* The mounts of one share, ready to be attached. 0 or a negative errno and `why`. */
int sandbox_mounts_make(const struct sandbox_request *request, struct sandbox_mounts *ret,
                        char *why, size_t why_size);
void sandbox_mounts_free(struct sandbox_mounts *mounts);

/* A clone of the mount at `fd`, detached: read-only, nosuid, nodev, with `attributes` on top
 * (MOUNT_ATTR_*), id-mapped when userns_fd >= 0. */
int sandbox_mounts_clone(int fd, const char *path, uint64_t attributes, int userns_fd, int *ret);
/* One image's contents: a clone of its mount, or FUSE (then *ret_fuse is /dev/fuse, else -1). The
 * owner of the image's own root directory appears as the share's user; `map` is the last such map.
 */
int sandbox_mounts_image(const struct sandbox_image *image, uint32_t uid_first,
                         struct sandbox_ids_map *map, int *ret_mount, int *ret_fuse, char *why,
                         size_t why_size);

/* In the mount namespace of the sandbox; async-signal-safe. */
int sandbox_mounts_attach(int mount_fd, int dirfd, const char *path);
int sandbox_mounts_attach_contents(int mount_fd, const char *contents);
int sandbox_mounts_proc(void);

/* --- descriptors --- */

struct sandbox_descriptors {
    int from[4 +
             SUPERVISOR_SERVICES_MAX * SUPERVISOR_SOCKETS_MAX]; /* borrowed; from[i] becomes 4+i */
    unsigned count;
    int plan_fd; /* owned; becomes 3 */
};

/* Seals the plan with the final numbers. `fuse` are the descriptors of the FUSE images in order
 * (-1 for the others). 0 or a negative errno. */
int sandbox_plan_make(const struct supervisor_plan *plan, const int *fuse, uint32_t n_fuse,
                      struct sandbox_descriptors *ret);

/* In the new process: puts everything at its final number, /dev/null at 0, 1 and (unless
 * `keep_stderr`) 2, the `keep` behind the last with O_CLOEXEC (updated in place), and closes all
 * others. Async-signal-safe. */
int sandbox_plan_place(const struct sandbox_descriptors *descriptors, bool keep_stderr, int **keep,
                       unsigned n_keep);

/* --- the new process --- */

enum sandbox_step {
    STEP_GO,
    STEP_SESSION,
    STEP_CGROUP_NAMESPACE,
    STEP_PROC,
    STEP_VAR,
    STEP_TREE,
    STEP_IMAGE,
    STEP_HOSTNAME,
    STEP_USER_NAMESPACE,
    STEP_MAPS,
    STEP_DESCRIPTORS,
    STEP_SECOND,
    STEP_NETWORK_NAMESPACE,
    STEP_LIMITS,
    STEP_CREDENTIALS,
    STEP_SECCOMP,
    STEP_EXECUTE,
    STEPS
};

/* What it says on the socket, while it is still our own code that runs in it. */
struct sandbox_report {
    uint32_t failed; /* 0: it waits for its id maps */
    uint32_t step;
    uint32_t image; /* which, in STEP_IMAGE */
    int32_t error;
};

struct sandbox_birth {
    const struct sandbox_template *template;
    const struct sandbox_request *request;
    struct sandbox_mounts mounts;
    struct sandbox_descriptors descriptors;
    int ours, theirs; /* the two ends of the socket; owned */
    bool keep_stderr;
};

_Noreturn void sandbox_child(struct sandbox_birth *birth);
