/*
 * A control group per share, for bounds on memory and processes, for an equal part of the
 * processors for each share, and for finding every process of a share: the unified hierarchy where
 * it has the controllers, otherwise the v1 hierarchies for memory, pids and cpu; where neither
 * works, shares run with rlimits alone and doctor says so. cgroups(7); the group is OURS/ID in each
 * hierarchy, OURS being "cdss" below the broker's own group, or below one that was made for shares.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroups; /* which hierarchies there are, as descriptors */

struct cgroup_limits {
    uint64_t memory;    /* bytes, page cache included */
    uint32_t processes; /* threads count too */
};

/* Looks at /proc/self/mountinfo and /proc/self/cgroup and makes OURS: below the group `above`, a
 * path such as /system.slice/cdss-shares.service, or, when that is NULL or nowhere to be found,
 * below the broker's own. Processes in `above` keep it alive, and are moved to a leaf of it. Never
 * fails for lack of cgroups: *ret then has none. 0 or -ENOMEM. */
int cgroups_open(const char *above, struct cgroups **ret);
void cgroups_close(struct cgroups *cgroups); /* removes OURS where it is empty */
bool cgroups_limit_memory(const struct cgroups *cgroups);
bool cgroups_limit_processes(const struct cgroups *cgroups);
bool cgroups_unified(const struct cgroups *cgroups); /* cgroup_create() gives a descriptor */
/* A descriptor for CLONE_INTO_CGROUP, or -1 where only v1 is there. Owned by the caller. */
int cgroup_create(struct cgroups *cgroups, const char *id, const struct cgroup_limits *limits,
                  int *ret_v2_fd);
/* Moves the calling process, which has one thread, into the share's v1 groups, if any, so that what
 * it clones next is born there; cgroup_enter() mends what did not work. The quick way. */
void cgroup_visit(struct cgroups *cgroups, const char *id);
/* Puts a process into the share's group in every hierarchy where it is not yet. */
int cgroup_enter(struct cgroups *cgroups, const char *id, pid_t pid);
/* SIGKILLs everything in the share's group. 0 also when there is no such group. */
int cgroup_kill(struct cgroups *cgroups, const char *id);
/* Calls visit for each thread of the share's group, also for those whose process is a zombie. 0
 * also when there is no such group. */
int cgroup_each_thread(struct cgroups *cgroups, const char *id,
                       void (*visit)(pid_t tid, void *user_data), void *user_data);
/* Removes the group. 0 also when it is gone; -EBUSY while processes are in it. */
int cgroup_remove(struct cgroups *cgroups, const char *id);
/* Calls visit for each id that has a group (for the sweep at start). */
int cgroups_each(struct cgroups *cgroups, void (*visit)(const char *id, void *user_data),
                 void *user_data);
