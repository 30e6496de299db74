/* poll(2), and a table beside its array. */
#include "supervisor_events.h"

#include <time.h>

uint64_t events_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

void events_add(struct events *events, int fd, event_handler *handler, void *waiter,
                uint32_t number)
{
    if (fd < 0 || events->count == EVENTS_MAX) {
        return;
    }
    events->fds[events->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    events->items[events->count].handler = handler;
    events->items[events->count].waiter = waiter;
    events->items[events->count].number = number;
    events->count++;
}

void events_wake(struct events *events, uint64_t when)
{
    if (events->until == 0 || when < events->until) {
        events->until = when;
    }
}

static int timeout_of(const struct events *events)
{
    uint64_t now = events_now();
    if (events->until == 0) {
        return -1;
    }
    if (events->until <= now) {
        return 0;
    }
    uint64_t ms = (events->until - now + MS_NS - 1) / MS_NS;
    return ms > 60000 ? 60000 : (int)ms;
}

void events_wait(struct events *events)
{
    if (poll(events->fds, events->count, timeout_of(events)) <= 0) {
        return;
    }
    for (size_t i = 0; i < events->count; i++) {
        if (events->fds[i].revents != 0) {
            events->items[i].handler(events->items[i].waiter, events->items[i].number);
        }
    }
}
