/* timerfd_create(2), absolute. */
#include "supervisor_deadline.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int deadline_open(struct deadline *deadline, int file_fd)
{
    int timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer_fd < 0) {
        return -errno;
    }
    *deadline = (struct deadline){file_fd, timer_fd};
    return 0;
}

void deadline_set(struct deadline *deadline)
{
    struct supervisor_deadline end = {0};
    struct timespec now;
    ssize_t n = pread(deadline->file_fd, &end, sizeof end, 0);
    clock_gettime(CLOCK_BOOTTIME, &now);
    struct itimerspec timer = {
        .it_value = {.tv_sec = (time_t)(end.boottime_ns / SECOND_NS),
                     .tv_nsec = (long)(end.boottime_ns % SECOND_NS)},
    };
    uint64_t now_ns = (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
    if (n != sizeof end || end.boottime_ns <= now_ns ||
        timerfd_settime(deadline->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL) < 0) {
        _exit(EXIT_SUCCESS);
    }
}

static void went_off(void *waiter, uint32_t number)
{
    struct deadline *deadline = waiter;
    uint64_t times;
    (void)number;
    if (read(deadline->timer_fd, &times, sizeof times) == sizeof times) {
        deadline_set(deadline);
    }
}

void deadline_watch(struct deadline *deadline, struct events *events)
{
    events_add(events, deadline->timer_fd, went_off, deadline, 0);
}
