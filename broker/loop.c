/*
 * What was removed while a batch of events is being handled is only marked, and freed behind the
 * batch: a later event of the same batch may still point at it.
 */
#include "loop.h"

#include "cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#define BATCH 64

struct loop_watch {
    struct loop *loop;
    struct loop_watch *next_dead;
    int fd;
    bool dead;
    loop_ready *ready;
    void *user_data;
};

struct loop_timer {
    struct loop *loop;
    struct loop_timer *next;
    uint64_t deadline_ns;
    loop_elapsed *elapsed;
    void *user_data;
};

struct loop {
    int epoll_fd, timer_fd;
    bool stopped;
    struct loop_watch *timer_watch;
    struct loop_watch *dead;
    struct loop_timer *timers; /* sorted by deadline */
};

uint64_t loop_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready *ready, void *user_data,
               struct loop_watch **ret)
{
    CLEANUP_FREE struct loop_watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL) {
        return -ENOMEM;
    }
    *watch = (struct loop_watch){.loop = loop, .fd = fd, .ready = ready, .user_data = user_data};
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        return -errno;
    }
    *ret = TAKE_PTR(watch);
    return 0;
}

int loop_change(struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0 ? -errno : 0;
}

void loop_unwatch(struct loop_watch **watch)
{
    struct loop_watch *gone = *watch;

    if (gone == NULL) {
        return;
    }
    *watch = NULL;
    epoll_ctl(gone->loop->epoll_fd, EPOLL_CTL_DEL, gone->fd, NULL);
    gone->dead = true;
    gone->next_dead = gone->loop->dead;
    gone->loop->dead = gone;
}

static void bury(struct loop *loop)
{
    while (loop->dead != NULL) {
        struct loop_watch *gone = loop->dead;
        loop->dead = gone->next_dead;
        free(gone);
    }
}

/* Sets the timerfd to the first deadline; {0} disarms it. */
static void arm(struct loop *loop)
{
    struct itimerspec when = {0};

    if (loop->timers != NULL) {
        uint64_t deadline = loop->timers->deadline_ns ? loop->timers->deadline_ns : 1;
        when.it_value.tv_sec = (time_t)(deadline / 1000000000u);
        when.it_value.tv_nsec = (long)(deadline % 1000000000u);
    }
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

int loop_at(struct loop *loop, uint64_t deadline_ns, loop_elapsed *elapsed, void *user_data,
            struct loop_timer **ret)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);
    struct loop_timer **place = &loop->timers;

    if (timer == NULL) {
        return -ENOMEM;
    }
    while (*place != NULL && (*place)->deadline_ns <= deadline_ns) {
        place = &(*place)->next;
    }
    *timer = (struct loop_timer){.loop = loop,
                                 .next = *place,
                                 .deadline_ns = deadline_ns,
                                 .elapsed = elapsed,
                                 .user_data = user_data};
    *place = timer;
    arm(loop);
    *ret = timer;
    return 0;
}

void loop_cancel(struct loop_timer **timer)
{
    struct loop_timer *gone = *timer;

    if (gone == NULL) {
        return;
    }
    *timer = NULL;
    struct loop *loop = gone->loop;
    for (struct loop_timer **place = &loop->timers; *place != NULL; place = &(*place)->next) {
        if (*place == gone) {
            *place = gone->next;
            break;
        }
    }
    free(gone);
    arm(loop);
}

static void timers_elapsed(uint32_t events, void *user_data)
{
    struct loop *loop = user_data;
    uint64_t expirations;
    uint64_t now = loop_now();

    (void)events;
    (void)!read(loop->timer_fd, &expirations, sizeof expirations);
    while (loop->timers != NULL && loop->timers->deadline_ns <= now) {
        struct loop_timer *timer = loop->timers;
        loop->timers = timer->next;
        loop_elapsed *elapsed = timer->elapsed;
        void *argument = timer->user_data;
        free(timer);
        elapsed(argument);
    }
    arm(loop);
}

int loop_open(struct loop **ret)
{
    struct loop *loop = calloc(1, sizeof *loop);
    int r;

    if (loop == NULL) {
        return -ENOMEM;
    }
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->timer_fd < 0) {
        r = -errno;
        loop_close(loop);
        return r;
    }
    r = loop_watch(loop, loop->timer_fd, EPOLLIN, timers_elapsed, loop, &loop->timer_watch);
    if (r < 0) {
        loop_close(loop);
        return r;
    }
    *ret = loop;
    return 0;
}

void loop_close(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    loop_unwatch(&loop->timer_watch);
    bury(loop);
    while (loop->timers != NULL) {
        struct loop_timer *timer = loop->timers;
        loop->timers = timer->next;
        free(timer);
    }
    if (loop->timer_fd >= 0) {
        close(loop->timer_fd);
    }
    if (loop->epoll_fd >= 0) {
        close(loop->epoll_fd);
    }
    free(loop);
}

int loop_run(struct loop *loop)
{
    struct epoll_event events[BATCH];

    while (!loop->stopped) {
        int n = epoll_wait(loop->epoll_fd, events, BATCH, -1);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        for (int i = 0; i < n; i++) {
            struct loop_watch *watch = events[i].data.ptr;
            if (!watch->dead) {
                watch->ready(events[i].events, watch->user_data);
            }
        }
        bury(loop);
    }
    loop->stopped = false;
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}
