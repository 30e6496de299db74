/* The new process, from clone(2) to execve(2). It was cloned from a process that may hold locks of
 * the C library, so nothing here allocates. It is root of the machine until its user namespace
 * exists, and stays in control of nobody until the last step: only our own code runs in it. */
#include "sandbox_steps.h"

#include "cleanup.h"
#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* RLIMIT_CORE of 1 and not 0: too short for a file, and the one value that also keeps core(5) from
 * handing what a stranger crashed to a program that runs as root outside (the filter keeps it so).
 * Pending signals, and with them timers, count for the host's root as well, who made the user
 * namespace: a share must not use up his. */
static const struct {
    __rlimit_resource_t resource;
    rlim_t limit;
} limits[] = {{RLIMIT_CORE, 1},     {RLIMIT_NOFILE, 4096},
              {RLIMIT_NPROC, 512},  {RLIMIT_MEMLOCK, 64 * 1024},
              {RLIMIT_MSGQUEUE, 0}, {RLIMIT_SIGPENDING, 256},
              {RLIMIT_NICE, 0},     {RLIMIT_RTPRIO, 0}};

static _Noreturn void give_up(const struct sandbox_birth *birth, enum sandbox_step step,
                              uint32_t image, int error)
{
    struct sandbox_report report = {.failed = 1, .step = step, .image = image, .error = error};
    send(birth->theirs, &report, sizeof report, MSG_NOSIGNAL);
    _exit(1);
}

static void check(const struct sandbox_birth *birth, enum sandbox_step step, int result)
{
    if (result < 0) {
        give_up(birth, step, 0, result);
    }
}

static int negative_errno(int result)
{
    return result < 0 ? -errno : 0;
}

/* One byte is the word to go on. End of file: the preparing process is dead, so is the share. */
static void await_word(const struct sandbox_birth *birth)
{
    char byte;
    ssize_t length;
    do {
        length = recv(birth->theirs, &byte, sizeof byte, 0);
    } while (length < 0 && errno == EINTR);
    if (length != sizeof byte) {
        _exit(1);
    }
}

static void reset_signals(void)
{
    sigset_t none;
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &action, NULL); /* fails for SIGKILL, SIGSTOP and the C library's own */
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int begin(void)
{
    reset_signals();
    umask(022);
    return negative_errno(setsid() < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -1 : 0);
}

static void attach_mounts(const struct sandbox_birth *birth)
{
    const struct sandbox_mounts *mounts = &birth->mounts;
    check(birth, STEP_PROC, SANDBOX_HAS_PROC ? sandbox_mounts_proc() : 0);
    check(birth, STEP_VAR, sandbox_mounts_attach(mounts->var, AT_FDCWD, "/var"));
    check(birth, STEP_TREE, sandbox_mounts_attach(mounts->tree, AT_FDCWD, SANDBOX_TREE));
    for (uint32_t i = 0; i < mounts->n_images; i++) {
        int r = sandbox_mounts_attach_contents(mounts->images[i], mounts->wanted[i].contents);
        if (r < 0) {
            give_up(birth, STEP_IMAGE, i, r);
        }
    }
}

/* The mount, PID, IPC and UTS namespaces belong to the machine's user namespace and stay so: root
 * of this one has no power over them. */
static void enter_user_namespace(const struct sandbox_birth *birth)
{
    struct sandbox_report ready = {.failed = 0};
    check(birth, STEP_USER_NAMESPACE, negative_errno(unshare(CLONE_NEWUSER)));
    check(birth, STEP_MAPS,
          send(birth->theirs, &ready, sizeof ready, MSG_NOSIGNAL) < 0 ? -errno : 0);
    await_word(birth);
}

/* Only downwards: upwards needs CAP_SYS_RESOURCE, which not even the broker needs to have. */
static int lower_limits(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        struct rlimit limit;
        if (getrlimit(limits[i].resource, &limit) < 0) {
            return -errno;
        }
        if (limit.rlim_max > limits[i].limit) {
            limit.rlim_max = limits[i].limit;
        }
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(limits[i].resource, &limit) < 0) {
            return -errno;
        }
    }
    return 0;
}

/* dup3(2) refuses numbers above the soft limit, and the broker may hold very many. */
static int place_descriptors(struct sandbox_birth *birth, int *supervisor)
{
    struct rlimit limit;
    int *keep[] = {&birth->theirs, supervisor};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return sandbox_plan_place(&birth->descriptors, birth->keep_stderr, keep, ARRAY_SIZE(keep));
}

/* Credentials, then the filter, which is last because it denies what the steps before it need. The
 * program was opened before there was a sandbox, and needs no path in it. */
static _Noreturn void become_supervisor(const struct sandbox_birth *birth, int supervisor,
                                        enum sandbox_network network, pid_t second)
{
    const struct credentials root = {
        .uid = SANDBOX_ROOT, .gid = SANDBOX_ROOT, .keep = CREDENTIALS_SANDBOX_KEEP};
    static const char *const roles[] = {
        [SANDBOX_NETWORK_NONE] = "none", [SANDBOX_NETWORK_HOST] = "host"};
    char pid[16] = "";
    char *arguments[] = {(char *)"cdss-supervisor", (char *)roles[network], second > 0 ? pid : NULL,
                         NULL};
    char *environment[] = {(char *)"PATH=/usr/sbin:/usr/bin", (char *)"LANG=C.UTF-8", NULL};
    snprintf(pid, sizeof pid, "%d", (int)second);
    check(birth, STEP_LIMITS, lower_limits());
    check(birth, STEP_CREDENTIALS, credentials_change(&root));
    check(birth, STEP_SECCOMP, sandbox_seccomp_load(&birth->template->filters[network]));
    execveat(supervisor, "", arguments, environment, AT_EMPTY_PATH);
    give_up(birth, STEP_EXECUTE, 0, -errno);
}

/* The servers that need the host's network are under a supervisor of their own, forked while the
 * network namespace is still the host's. */
static pid_t start_second(const struct sandbox_birth *birth, int supervisor)
{
    if (!birth->request->any_host) {
        return 0;
    }
    pid_t pid = fork();
    check(birth, STEP_SECOND, negative_errno(pid));
    if (pid == 0) {
        check(birth, STEP_SESSION, negative_errno(setsid()));
        become_supervisor(birth, supervisor, SANDBOX_NETWORK_HOST, 0);
    }
    return pid;
}

_Noreturn void sandbox_child(struct sandbox_birth *birth)
{
    const char *hostname = birth->request->hostname;
    int supervisor = birth->template->supervisor_fd;
    close(TAKE_FD(birth->ours)); /* so that the other end's death is the end of file */
    await_word(birth);
    check(birth, STEP_SESSION, begin());
    check(birth, STEP_CGROUP_NAMESPACE, negative_errno(unshare(CLONE_NEWCGROUP)));
    attach_mounts(birth);
    check(birth, STEP_HOSTNAME, negative_errno(sethostname(hostname, strlen(hostname))));
    enter_user_namespace(birth);
    check(birth, STEP_DESCRIPTORS, place_descriptors(birth, &supervisor));
    pid_t second = start_second(birth, supervisor);
    check(birth, STEP_NETWORK_NAMESPACE, negative_errno(unshare(CLONE_NEWNET)));
    become_supervisor(birth, supervisor, SANDBOX_NETWORK_NONE, second);
}
