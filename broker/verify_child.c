/*
 * From a copy of the broker to cdss-verify. Credentials go before the program is executed, so that
 * not even its start-up code runs with rights; what must wait until that code has run (memory,
 * descriptors, seccomp) the program does itself, before it reads a byte.
 */
#include "verify_child.h"

#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define ABOVE   16 /* descriptors move there first, out of each other's way */
#define PROGRAM (VERIFY_CHILD_FD + 1)

/* Nothing of the broker's stays open: /dev/null three times, the conversation, and the program,
 * which closes itself when it is executed. */
static int keep_descriptors(const struct verify_birth *birth, int fd)
{
    int conversation = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
    int program = fcntl(birth->program_fd, F_DUPFD_CLOEXEC, ABOVE);
    int null = fcntl(birth->null_fd, F_DUPFD_CLOEXEC, ABOVE);

    if (conversation < 0 || program < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(null, 2) < 0 || dup2(conversation, VERIFY_CHILD_FD) < 0 ||
        dup3(program, PROGRAM, O_CLOEXEC) < 0 || close_range(PROGRAM + 1, ~0u, 0) < 0) {
        return -errno;
    }
    return 0;
}

static int set_limits(void)
{
    static const struct {
        __rlimit_resource_t resource;
        rlim_t limit;
    } limits[] = {{RLIMIT_CPU, VERIFY_CPU_S}, {RLIMIT_CORE, 0}, {RLIMIT_FSIZE, 0}};

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const struct rlimit limit = {limits[i].limit, limits[i].limit};
        if (setrlimit(limits[i].resource, &limit) < 0) {
            return -errno;
        }
    }
    return 0;
}

void verify_child_become(int fd, void *user_data)
{
    const struct verify_birth *birth = user_data;
    const struct credentials nobody = {.uid = birth->uid, .gid = birth->uid};
    static char name[] = "cdss-verify";
    char *const arguments[] = {name, NULL};
    char *const environment[] = {NULL};
    pid_t broker = getppid();

    if (keep_descriptors(birth, fd) < 0 || set_limits() < 0 || credentials_change(&nobody) < 0) {
        return;
    }
    /* Another uid has no parent's death to hear of until it asks again. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != broker) {
        return;
    }
    execveat(PROGRAM, "", arguments, environment, AT_EMPTY_PATH);
}
