/*
 * What lighttpd lacks, preloaded into it (LD_PRELOAD; templates/http/server.conf):
 *
 * - An answer of more than 64 KiB that it makes itself, a listing of some hundreds of names, goes
 *   through a temporary file, and in the tree there is no place to write; the listing was empty
 *   then, without an error. So a temporary file is one in memory, which counts as the share's own.
 * - It keeps every file open for two seconds after it was asked for. A client that fetches a
 *   thousand small files faster than that, as an installer does, got 403 for the rest. So its cache
 *   is cleared when it has many descriptors: by its own function, for which two seconds are over.
 *   Where it has none of that name, all is as it was.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MANY    512 /* of server.max-fds = 1024: what it opens between two looks is less than half */
#define SECONDS 60

int mkostemp64(char *pattern, int flags);

/* lighttpd removes the name in the end; that there is none is well. */
int mkostemp64(char *pattern, int flags)
{
    (void)pattern;
    int fd = memfd_create("lighttpd", MFD_CLOEXEC);
    if (fd >= 0 && (flags & O_APPEND) != 0 && fcntl(fd, F_SETFL, O_APPEND) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static __typeof__(epoll_wait) *original_epoll_wait;
static void (*clear_old)(void);
static int64_t *clock_s; /* lighttpd's own idea of CLOCK_MONOTONIC */

__attribute__((constructor)) static void find_originals(void)
{
    original_epoll_wait = (__typeof__(epoll_wait) *)dlsym(RTLD_NEXT, "epoll_wait");
    clear_old = (void (*)(void))dlsym(RTLD_DEFAULT, "stat_cache_trigger_cleanup");
    clock_s = dlsym(RTLD_DEFAULT, "log_monotonic_secs");
    if (original_epoll_wait == NULL) {
        _exit(126);
    }
}

/* Another version's variable of that name may be another thing. */
static int knows_the_time(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now) == 0 && *clock_s <= now.tv_sec + 1 &&
           *clock_s + 600 > now.tv_sec;
}

/* New descriptors get the lowest number that is free: this one is in use when there are many. */
static void make_room(void)
{
    if (fcntl(MANY, F_GETFD) < 0 || clear_old == NULL || clock_s == NULL || !knows_the_time()) {
        return;
    }
    *clock_s += SECONDS;
    clear_old();
    *clock_s -= SECONDS;
}

/* Here it waits for the next request and is busy with none. */
int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    make_room();
    return original_epoll_wait(fd, events, count, timeout);
}
