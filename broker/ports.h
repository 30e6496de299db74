/*
 * Instance ports: random ports of [network] ports, bound under a uid of the share (the kernel's
 * `meta skuid` is the creator's fsuid), one IPv4 and one IPv6-only socket each, locked to the
 * share's mark with a classic BPF filter (socket(7), SO_ATTACH_FILTER, SO_LOCK_FILTER): a packet
 * that our firewall did not mark does not arrive, even when the whole table is gone.
 *
 * A number is one instance's in both transports, bound or not: the firewall knows them by number.
 */
#pragma once

#include <stdint.h>

struct ports_request {
    uint16_t first, last; /* the pool */
    int tcp, udp;         /* which transports; both share the number */
    uint32_t uid, mark;
};

struct ports_bound {
    uint16_t port;
    int fds[4]; /* owned; CLOEXEC, non-blocking for none; listening when TCP */
    int is_stream[4];
    uint32_t count;
};

/* 0; -EADDRINUSE when no port of the pool is free (a bounded number of tries); another errno. On
 * failure nothing stays open. IPv6 sockets are left out where the host has no IPv6. */
int ports_bind(const struct ports_request *request, struct ports_bound *ret);
void ports_close(struct ports_bound *ports);

/* Locks a socket to a mark: also for tests. */
int ports_lock(int fd, uint32_t mark);
