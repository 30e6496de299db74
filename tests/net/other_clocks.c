/*
 * For one process, clocks that differ from the machine's: preloaded into cdssd with CDSS_CLOCKS
 * naming a file that holds two numbers of seconds, what to add to CLOCK_REALTIME (somebody sets the
 * clock) and to CLOCK_BOOTTIME (the machine was asleep; CLOCK_MONOTONIC does not count that). The
 * file may change at any time. Timers of CLOCK_BOOTTIME that are set by now are set in these terms,
 * and go off as soon after a sleep as the next thing happens.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>

struct offsets {
    long real, boot; /* s */
};

static struct offsets read_offsets(void)
{
    struct offsets offsets = {0, 0};
    const char *path = getenv("CDSS_CLOCKS");
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%ld %ld", &offsets.real, &offsets.boot) != 2) {
            offsets = (struct offsets){0, 0};
        }
        fclose(file);
    }
    return offsets;
}

static int real_gettime(clockid_t clock, struct timespec *ret)
{
    static int (*next)(clockid_t, struct timespec *);
    if (next == NULL) {
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    return next(clock, ret);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r = real_gettime(clock, ret);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME)) {
        struct offsets offsets = read_offsets();
        ret->tv_sec += clock == CLOCK_REALTIME ? offsets.real : offsets.boot;
    }
    return r;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret != NULL) {
        *ret = now.tv_sec;
    }
    return now.tv_sec;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
    static int (*next)(int, int, const struct itimerspec *, struct itimerspec *);
    struct itimerspec moved = *value;
    if (next == NULL) {
        next = (int (*)(int, int, const struct itimerspec *, struct itimerspec *))dlsym(
            RTLD_NEXT, "timerfd_settime");
    }
    if ((flags & TFD_TIMER_ABSTIME) != 0 &&
        (moved.it_value.tv_sec != 0 || moved.it_value.tv_nsec != 0)) {
        moved.it_value.tv_sec -= read_offsets().boot;
        if (moved.it_value.tv_sec < 0) {
            moved.it_value.tv_sec = 0;
            moved.it_value.tv_nsec = 1; /* long ago: at once, and not "disarmed" */
        }
    }
    return next(fd, flags, &moved, old);
}
