/*
 * One loop: everything that is waited for is put together, waited for, and handled. As PID 1 it
 * reaps whoever is left to it, and it must not die: every signal that can be ignored is.
 */
#include "supervisor_run.h"

#include "parse.h"
#include "supervisor_control.h"
#include "supervisor_plan.h"
#include "supervisor_ready.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct supervisor {
    const struct supervisor_plan *plan;
    bool first;   /* PID 1, in the empty network namespace */
    pid_t second; /* its child in the host's; 0: none */
    int signal_fd;
    struct supervisor_status *status;
    struct services services;
    struct ready ready;
    struct deadline deadline;
    struct control control;
    struct events events;
};

static _Noreturn void stop(const char *step, int error)
{
    fprintf(stderr, "cdss-supervisor: %s: %s\n", step, strerror(error < 0 ? -error : error));
    _exit(EXIT_FAILURE);
}

/* ---- signals ---- */

static int signals_open(void)
{
    static const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGPIPE, SIGALRM, SIGTERM,
                                  SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU};
    sigset_t mask;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        signal(ignored[i], SIG_IGN);
    }
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0) {
        return -errno;
    }
    int fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static void child_ended(void *waiter, uint32_t number)
{
    struct supervisor *supervisor = waiter;
    struct signalfd_siginfo info;
    pid_t pid;
    int status;
    (void)number;
    while (read(supervisor->signal_fd, &info, sizeof info) == sizeof info) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == supervisor->second) {
            _exit(EXIT_FAILURE);
        }
        if (!supervisor->first || !ready_ended(&supervisor->ready, pid, status)) {
            services_ended(&supervisor->services, pid, status);
        }
    }
}

/* ---- start ---- */

static int read_arguments(struct supervisor *supervisor, int argc, char **argv)
{
    uint64_t pid = 0;
    if (argc == 2 && strcmp(argv[1], "host") == 0) {
        return 0;
    }
    if (argc < 2 || argc > 3 || strcmp(argv[1], "none") != 0) {
        return -EINVAL;
    }
    if (argc == 3 && parse_number(argv[2], strlen(argv[2]), 2, INT32_MAX, &pid, NULL) < 0) {
        return -EINVAL;
    }
    supervisor->first = true;
    supervisor->second = (pid_t)pid;
    return 0;
}

static int map_status(int fd, struct supervisor_status **ret)
{
    struct stat status;
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    if (status.st_size < (off_t)sizeof **ret) {
        return -EBADMSG;
    }
    void *shared = mmap(NULL, sizeof **ret, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
        return -errno;
    }
    *ret = shared;
    return 0;
}

/* Nothing of ours goes into a child but what child.c puts there; this is for the time between. */
static void close_on_exec(const struct supervisor_plan *plan)
{
    const int fds[] = {SUPERVISOR_PLAN_FD, plan->deadline_fd, plan->control_fd, plan->ready_fd,
                       plan->status_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
}

static void open_first(struct supervisor *supervisor)
{
    const struct supervisor_plan *plan = supervisor->plan;
    int r = deadline_open(&supervisor->deadline, plan->deadline_fd);
    if (r < 0) {
        stop("its timer could not be made", r);
    }
    deadline_set(&supervisor->deadline);
    control_open(&supervisor->control, plan->control_fd, &supervisor->services, supervisor->status,
                 plan->status_fd, &supervisor->deadline);
    ready_begin(&supervisor->ready, plan);
}

static void open_second(const struct supervisor *supervisor)
{
    close(supervisor->plan->deadline_fd);
    close(supervisor->plan->control_fd);
    close(supervisor->plan->ready_fd);
}

static void open_all(struct supervisor *supervisor)
{
    int r = plan_open(SUPERVISOR_PLAN_FD, &supervisor->plan);
    if (r < 0) {
        stop("its plan could not be read", r);
    }
    close_on_exec(supervisor->plan);
    prctl(PR_SET_DUMPABLE, 0); /* no server of the share looks into it */
    r = map_status(supervisor->plan->status_fd, &supervisor->status);
    if (r < 0) {
        stop("its status could not be shared", r);
    }
    supervisor->signal_fd = signals_open();
    if (supervisor->signal_fd < 0) {
        stop("signals could not be set up", supervisor->signal_fd);
    }
    if (supervisor->first) {
        open_first(supervisor);
    } else {
        open_second(supervisor);
    }
    services_open(&supervisor->services, supervisor->plan, supervisor->status, !supervisor->first);
}

/* ---- the loop ---- */

static void turn(struct supervisor *supervisor)
{
    struct events *events = &supervisor->events;
    events->count = 0;
    events->until = 0;
    events_add(events, supervisor->signal_fd, child_ended, supervisor, 0);
    services_watch(&supervisor->services, events);
    if (supervisor->first) {
        deadline_watch(&supervisor->deadline, events);
        control_watch(&supervisor->control, events);
        ready_watch(&supervisor->ready, events);
    }
    events_wait(events);
}

int supervisor_run(int argc, char **argv)
{
    static struct supervisor supervisor; /* hundreds of kilobytes: not on the stack */
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("cdss-supervisor %s\n", version_text());
        return EXIT_SUCCESS;
    }
    if (read_arguments(&supervisor, argc, argv) < 0) {
        fprintf(stderr, "usage: cdss-supervisor none [PID] | host (it is started by cdssd)\n");
        return 2;
    }
    open_all(&supervisor);
    for (;;) {
        if (supervisor.first && !ready_answer(&supervisor.ready)) {
            return EXIT_FAILURE;
        }
        turn(&supervisor);
    }
}
