/*
 * The services of one supervisor: whose sockets are waited for, who is running, who failed and has
 * to wait. Rules for a process that ends:
 *
 * - It failed when it ended within a second (a process per connection: with an error, too).
 *   After the first failure nothing is started for 100 ms, then for twice as long each time, up to
 *   30 s. While a service waits, its callers are refused at once: connections are reset, datagrams
 *   are thrown away (the one that made the server fail would start it again for ever).
 * - A process per connection can be made to fail by the client that it serves. That must not shut
 *   out the others: it makes them wait in the queue, and for a second at most.
 * - A success, or a process that lived for five seconds, forgets all failures.
 * - A reader that failed is tried five times again. One that ended later is not: the kernel's FUSE
 *   connection was set up by the old process, and a new one would answer every call with EIO
 *   (libfuse 2, fuse_lowlevel.c: got_init). Its descriptor is closed, so that whoever reads there
 *   gets ENOTCONN instead of waiting for ever.
 */
#pragma once

#include "supervisor.h"
#include "supervisor_events.h"

#include <sys/types.h>

struct service {
    const struct supervisor_service *plan; /* borrowed, or `added` */
    struct supervisor_service *added;      /* owned; NULL for one of the plan */
    struct supervisor_service_status *status;
    bool mine;                           /* handled by this supervisor */
    bool busy[SUPERVISOR_SOCKETS_MAX];   /* a process has this socket; LISTEN: the first counts */
    int sockets[SUPERVISOR_SOCKETS_MAX]; /* owned; -1: closed */
    uint64_t wait_until;                 /* CLOCK_MONOTONIC; 0: not backing off */
};

struct process {
    pid_t pid;
    uint32_t service, socket;
    uint64_t started; /* CLOCK_MONOTONIC */
};

struct services {
    struct service items[SUPERVISOR_SERVICES_MAX];
    uint32_t count;
    struct process *processes; /* owned */
    size_t n_processes, capacity;
};

/* Takes the plan's services of the given network and closes the sockets of the others; `status` is
 * shared memory. Readers start at the first services_watch(). */
void services_open(struct services *services, const struct supervisor_plan *plan,
                   struct supervisor_status *status, bool network_host);

/* Ends back-offs that are over, and adds what is to be waited for to `events`. */
void services_watch(struct services *services, struct events *events);

/* A child has ended. False when it is none of these. */
bool services_ended(struct services *services, pid_t pid, int wait_status);

/* Adds a reader with its /dev/fuse descriptor, which is taken over on success. -EINVAL, -ENOSPC,
 * -ENOMEM. */
int services_add_reader(struct services *services, const struct supervisor_service *reader,
                        int fuse_fd, struct supervisor_status *status);
