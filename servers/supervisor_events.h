/*
 * What the supervisor waits for in one turn of its loop. The set is made anew each turn from the
 * state of those who wait, so that nothing has to be registered, changed and taken back.
 */
#pragma once

#include "supervisor.h"

#include <poll.h>
#include <stddef.h>

#define EVENTS_MAX (SUPERVISOR_SERVICES_MAX * (SUPERVISOR_SOCKETS_MAX + 1) + 16)

/* `number` is the waiter's own. */
typedef void event_handler(void *waiter, uint32_t number);

struct events {
    struct pollfd fds[EVENTS_MAX];
    struct {
        event_handler *handler;
        void *waiter;
        uint32_t number;
    } items[EVENTS_MAX];
    size_t count;
    uint64_t until; /* ns on CLOCK_MONOTONIC; 0: no limit */
};

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS     UINT64_C(1000000)

uint64_t events_now(void); /* ns on CLOCK_MONOTONIC */

/* Waits for fd to become readable. A negative fd is passed over. */
void events_add(struct events *events, int fd, event_handler *handler, void *waiter,
                uint32_t number);

/* Wakes up at `when` at the latest. */
void events_wake(struct events *events, uint64_t when);

/* Waits, and calls the handler of each descriptor that is readable, has an error or hung up, in the
 * order in which they were added. */
void events_wait(struct events *events);
