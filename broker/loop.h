/*
 * The broker's one event loop: epoll(7) for descriptors, one timerfd of CLOCK_BOOTTIME for all
 * timers, so that a deadline passes while the machine sleeps. Nothing called from it may wait.
 * A callback may remove any watch or timer, its own too.
 */
#pragma once

#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;

typedef void loop_ready(uint32_t events, void *user_data); /* EPOLLIN, EPOLLOUT, EPOLLHUP, ... */
typedef void loop_elapsed(void *user_data);

int loop_open(struct loop **ret);
void loop_close(struct loop *loop);

/* Watches a descriptor, which stays the caller's. The watch must be removed before it is closed. */
int loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready *ready, void *user_data,
               struct loop_watch **ret);
int loop_change(struct loop_watch *watch, uint32_t events);
/* Removes the watch and sets *watch to NULL; NULL is fine. */
void loop_unwatch(struct loop_watch **watch);

/* Calls `elapsed` once when CLOCK_BOOTTIME reaches `deadline_ns`, then forgets the timer: the
 * callback must drop its pointer. */
int loop_at(struct loop *loop, uint64_t deadline_ns, loop_elapsed *elapsed, void *user_data,
            struct loop_timer **ret);
void loop_cancel(struct loop_timer **timer);

/* Runs until loop_stop(), which may have been called before. 0 or a negative errno. May be run
 * again. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* CLOCK_BOOTTIME, ns. */
uint64_t loop_now(void);
