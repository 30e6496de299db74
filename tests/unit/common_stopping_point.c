/* The places at which tests kill cdssd. */
#include "stopping_point.h"

#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef CDSS_STOPPING_POINTS

/* Passes two places `times` times each; in a further child each time, if asked. */
static void pass(unsigned times, bool in_children)
{
    for (unsigned i = 0; i < times; i++) {
        pid_t child = in_children ? fork() : 0;
        if (child == 0) {
            if (in_children) {
                prctl(PR_SET_PDEATHSIG, SIGKILL); /* as a worker */
            }
            STOPPING_POINT("test.here");
            STOPPING_POINT("test.there");
            if (in_children) {
                _exit(0);
            }
        } else {
            waitpid(child, NULL, 0);
        }
    }
}

/* The wait status of a process that passes them with this in its environment. */
static int status_of(const char *stop_at, unsigned times, bool in_children)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        if (stop_at != NULL) {
            setenv("CDSS_STOP_AT", stop_at, 1);
        }
        stopping_points_begin();
        pass(times, in_children);
        _exit(7);
    }
    waitpid(child, &status, 0);
    return status;
}

static bool is_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static bool goes_on(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

static void names(void)
{
    CHECK(goes_on(status_of(NULL, 3, false)));
    CHECK(is_killed(status_of("test.here", 1, false)));
    CHECK(is_killed(status_of("test.there", 1, false)));
    CHECK(goes_on(status_of("test.her", 3, false)));
    CHECK(goes_on(status_of("test.nowhere", 3, false)));
    CHECK(goes_on(status_of("", 3, false)));
}

static void numbers(void)
{
    CHECK(is_killed(status_of("test.here:3", 3, false)));
    CHECK(goes_on(status_of("test.here:3", 2, false)));
}

/* The first process dies, whichever of its children comes by. */
static void children(void)
{
    CHECK(is_killed(status_of("test.here", 1, true)));
    CHECK(is_killed(status_of("test.there:2", 2, true)));
    CHECK(goes_on(status_of("test.there:3", 2, true)));
}

TEST_MAIN({"the place that is named", names}, {"the n-th time", numbers},
          {"a child kills the first process", children})

#else

int main(void)
{
    puts("skip stopping points - this build has none");
    return 0;
}

#endif
