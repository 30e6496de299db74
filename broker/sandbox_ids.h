/*
 * The ids of a sandbox: which host id stands behind each, and the two kinds of map made from that.
 * user_namespaces(7), mount_setattr(2).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define SANDBOX_IDS 4 /* a share's block has at least so many */

/* The host id behind an id of the sandbox; UINT32_MAX when there is none. */
uint32_t sandbox_host_id(uint32_t uid_first, uint32_t id);

/* Writes uid_map and gid_map of the process whose /proc/PID is `proc_fd`. 0 or a negative errno. */
int sandbox_ids_map(int proc_fd, uint32_t uid_first);

/* Makes the user namespace that id-mapped mounts of a share take their map from: the files' owner
 * on disk appears as SANDBOX_USER's host id, and root's as the sandbox's root. *ret is owned. Forks
 * a process that is gone again at return. 0 or a negative errno. */
int sandbox_ids_namespace(uint32_t uid_first, uid_t owner, gid_t group, int *ret);

/* The last of them, since most mounts of a share have the same owner. */
struct sandbox_ids_map {
    uid_t owner;
    gid_t group;
    int userns_fd; /* owned; -1: none yet */
};

/* Makes `map` one for the owner of `directory_fd`, unless it is that already. */
int sandbox_ids_map_for(struct sandbox_ids_map *map, uint32_t uid_first, int directory_fd);
void sandbox_ids_map_free(struct sandbox_ids_map *map);
