/* What passes is counted in memory that workers share with the broker. */
#include "stopping_point.h"

#ifdef CDSS_STOPPING_POINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* Made by the linker, and missing where no place is linked in. */
extern const char *const __start_stopping_points[] __attribute__((weak));
extern const char *const __stop_stopping_points[] __attribute__((weak));

static struct {
    pid_t broker;
    char name[64]; /* "": no place */
    unsigned long number;
    atomic_ulong *passed; /* shared */
} wanted;

void stopping_points_begin(void)
{
    const char *text = getenv("CDSS_STOP_AT");
    if (text == NULL) {
        return;
    }
    size_t length = strcspn(text, ":");
    void *shared = mmap(NULL, sizeof *wanted.passed, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || length >= sizeof wanted.name) {
        return;
    }
    wanted.broker = getpid();
    wanted.number = text[length] == ':' ? strtoul(text + length + 1, NULL, 10) : 1;
    wanted.passed = shared;
    memcpy(wanted.name, text, length);
}

/* Where it is a worker that comes by, it dies with the broker (worker.h), and must get no further
 * until then. */
void stopping_point_pass(const char *name)
{
    if (wanted.name[0] == '\0' || strcmp(name, wanted.name) != 0 ||
        atomic_fetch_add(wanted.passed, 1) + 1 != wanted.number) {
        return;
    }
    kill(wanted.broker, SIGKILL);
    for (;;) {
        pause();
    }
}

void stopping_points_list(void)
{
    for (const char *const *place = __start_stopping_points; place < __stop_stopping_points;
         place++) {
        puts(*place);
    }
}

#else

/* A translation unit is never empty. */
extern int stopping_points_are_not_compiled;

#endif
