/*
 * What the kernel itself holds the sockets of a share's processes to: eBPF programs (bpf(2)) on the
 * share's control group in the unified hierarchy. They stand without any firewall rule, and go with
 * the group.
 *
 *   - A packet that the firewall has not given the share's mark does not reach any socket that a
 *     process of the share made or accepted: no stranger's connection (not even by a SYN cookie),
 *     no datagram, no multicast.
 *   - No port is bound but one that the kernel picks and those of [network] passive: none of the
 *     pool of instance ports, none of the host's.
 *   - At most `sockets` TCP and UDP sockets are there at a time (accepted connections do not
 * count), so that one share cannot hold all passive ports, nor all that the kernel picks from.
 *
 * A socket belongs to the group of the process that made it; an accepted one to that of the socket
 * that listened. So the instance sockets are made inside of the group, too, before the fence stands
 * (prepare_ports.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fence {
    uint32_t mark;                        /* the share's */
    uint16_t passive_first, passive_last; /* ports that may be bound by number */
    uint32_t sockets; /* 0: its processes cannot make any, and no port can be bound by number */
};

/* Puts the fence around the group behind `group_fd` (a directory of the unified hierarchy). 0 or a
 * negative errno; a group with half a fence is of no use then. */
int fence_attach(int group_fd, const struct fence *fence);

/* Whether this kernel, and our rights in it, can do all that: loads the programs and drops them. 0
 * or a negative errno. */
int fence_probe(void);
