/* The order of the steps, from the process that prepares the share. What can fail for a reason
 * that a person should read fails before there is a new process. */
#include "sandbox.h"

#include "cleanup.h"
#include "sandbox_ids.h"
#include "sandbox_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_MS 20000 /* for a step of the new process; a healthy one takes a millisecond */

static const char *const step_names[STEPS] = {
    [STEP_GO] = "starting",
    [STEP_SESSION] = "making a session",
    [STEP_CGROUP_NAMESPACE] = "making the cgroup namespace",
    [STEP_PROC] = "mounting /proc",
    [STEP_VAR] = "attaching /var",
    [STEP_TREE] = "attaching the tree",
    [STEP_IMAGE] = "attaching the contents",
    [STEP_HOSTNAME] = "setting the host name",
    [STEP_USER_NAMESPACE] = "making the user namespace",
    [STEP_MAPS] = "asking for the id maps",
    [STEP_DESCRIPTORS] = "moving the descriptors",
    [STEP_SECOND] = "starting the second supervisor",
    [STEP_NETWORK_NAMESPACE] = "making the network namespace",
    [STEP_LIMITS] = "setting limits",
    [STEP_CREDENTIALS] = "dropping privileges",
    [STEP_SECCOMP] = "loading the seccomp filter",
    [STEP_EXECUTE] = "executing the supervisor",
};

/* CLONE_PARENT: a child of the broker, which outlives this process; with it the exit signal is
 * inherited and must be 0 here. */
static int clone_child(struct sandbox_birth *birth, struct sandbox *ret)
{
    int pidfd = -1;
    struct clone_args arguments = {.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
                                            CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                                            CLONE_NEWUTS,
                                   .pidfd = (uint64_t)(uintptr_t)&pidfd};
    pid_t pid = -1;
    if (birth->request->cgroup_fd >= 0) { /* saves moving it: see cgroup_visit() */
        struct clone_args inside = arguments;
        inside.flags |= CLONE_INTO_CGROUP;
        inside.cgroup = (uint64_t)birth->request->cgroup_fd;
        pid = (pid_t)syscall(SYS_clone3, &inside, sizeof inside);
    }
    if (pid < 0) {
        pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    }
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        sandbox_child(birth);
    }
    *ret = (struct sandbox){.pid = pid, .pidfd = pidfd};
    return 0;
}

static void kill_sandbox(struct sandbox *sandbox)
{
    struct pollfd gone = {.fd = sandbox->pidfd, .events = POLLIN};
    pidfd_send_signal(sandbox->pidfd, SIGKILL, NULL, 0);
    while (poll(&gone, 1, PATIENCE_MS) < 0 && errno == EINTR) {
    }
    close(TAKE_FD(sandbox->pidfd)); /* the broker reaps it */
}

/* The new mount namespace is a copy of the template's, so that is where it must be cloned from. */
static int clone_in_template(struct sandbox_birth *birth, struct sandbox *ret)
{
    CLEANUP_CLOSE int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (own < 0 || setns(birth->template->namespace_fd, CLONE_NEWNS) < 0) {
        return -errno;
    }
    int r = clone_child(birth, ret);
    if (setns(own, CLONE_NEWNS) < 0) {
        int error = -errno;
        if (r == 0) {
            kill_sandbox(ret);
        }
        return error;
    }
    return r;
}

/* A whole report, 0 at the end of file, or a negative errno. */
static int hear(int fd, struct sandbox_report *ret)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&readable, 1, PATIENCE_MS);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
        return ready < 0 ? -errno : -ETIMEDOUT;
    }
    ssize_t length = recv(fd, ret, sizeof *ret, 0);
    if (length <= 0) {
        return length == 0 || errno == ECONNRESET ? 0 : -errno;
    }
    return length == sizeof *ret ? 1 : -EPROTO;
}

static int tell(int fd)
{
    return send(fd, "", 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int reported(const struct sandbox_birth *birth, const struct sandbox_report *report,
                    char *why, size_t why_size)
{
    const char *step = report->step < STEPS ? step_names[report->step] : "an unknown step";
    int error = report->error < 0 ? report->error : -EPROTO;
    if (report->step == STEP_IMAGE && report->image < birth->request->n_images) {
        return sandbox_why(why, why_size, error, "%s %s", step,
                           birth->request->images[report->image].contents);
    }
    return sandbox_why(why, why_size, error, "%s", step);
}

/* Waits until the new process asks for its maps; it has all its mounts then. */
static int await_user_namespace(const struct sandbox_birth *birth, char *why, size_t why_size)
{
    struct sandbox_report report;
    int r = hear(birth->ours, &report);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "waiting for the new process");
    }
    if (r == 0) {
        return sandbox_why(why, why_size, -ECHILD, "the new process died");
    }
    return report.failed ? reported(birth, &report, why, why_size) : 0;
}

/* Its end of the socket is closed by execve(2), in both supervisors: the end of file is success,
 * if it is still alive. */
static int await_execution(const struct sandbox_birth *birth, const struct sandbox *sandbox,
                           char *why, size_t why_size)
{
    struct sandbox_report report;
    struct pollfd dead = {.fd = sandbox->pidfd, .events = POLLIN};
    int r = hear(birth->ours, &report);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "waiting for the supervisor");
    }
    if (r > 0) {
        return reported(birth, &report, why, why_size);
    }
    if (poll(&dead, 1, 0) != 0) {
        return sandbox_why(why, why_size, -ECHILD, "the supervisor died at once");
    }
    return 0;
}

/* /proc/PID is opened while the process is known to live, and stays that process's. */
static int open_proc(const struct sandbox *sandbox, int *ret)
{
    char path[32];
    struct pollfd dead = {.fd = sandbox->pidfd, .events = POLLIN};
    snprintf(path, sizeof path, "/proc/%d", (int)sandbox->pid);
    CLEANUP_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (poll(&dead, 1, 0) != 0) {
        return -ESRCH;
    }
    *ret = TAKE_FD(fd);
    return 0;
}

/* When the machine is out of memory, a share goes before the broker and whatever else runs here. */
static void offer_to_oom_killer(int proc)
{
    CLEANUP_CLOSE int fd = openat(proc, "oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "500", 3) < 0) {
        return; /* a preference, and no more */
    }
}

static int bring_up(struct sandbox_birth *birth, const struct sandbox *sandbox, char *why,
                    size_t why_size)
{
    CLEANUP_CLOSE int proc = -1;
    int r = open_proc(sandbox, &proc);
    if (r == 0) {
        offer_to_oom_killer(proc);
        r = tell(birth->ours);
    }
    if (r < 0) {
        return sandbox_why(why, why_size, r, "starting the new process");
    }
    r = await_user_namespace(birth, why, why_size);
    if (r < 0) {
        return r;
    }
    r = sandbox_ids_map(proc, birth->request->uid_first);
    if (r == 0) {
        r = tell(birth->ours);
    }
    if (r < 0) {
        return sandbox_why(why, why_size, r, "writing its id maps");
    }
    return await_execution(birth, sandbox, why, why_size);
}

static int give_birth(struct sandbox_birth *birth, sandbox_born *born, void *user_data,
                      struct sandbox *ret, char *why, size_t why_size)
{
    struct sandbox sandbox;
    int r = clone_in_template(birth, &sandbox);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "cloning a process");
    }
    close(TAKE_FD(birth->theirs));
    if (born != NULL && born(&sandbox, user_data) != 0) {
        r = sandbox_why(why, why_size, -ECANCELED, "telling the broker of the new process");
    }
    if (r == 0) {
        r = bring_up(birth, &sandbox, why, why_size);
    }
    if (r < 0) {
        kill_sandbox(&sandbox);
        return r;
    }
    *ret = sandbox;
    return 0;
}

static int make_descriptors(struct sandbox_birth *birth, char *why, size_t why_size)
{
    int ends[2];
    int r = sandbox_plan_make(birth->request->plan, birth->mounts.fuse, birth->mounts.n_images,
                              &birth->descriptors);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "writing the supervisor's plan");
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return sandbox_why(why, why_size, -errno, "making a socket");
    }
    birth->ours = ends[0];
    birth->theirs = ends[1];
    return 0;
}

int sandbox_start(struct sandbox_template *template, const struct sandbox_request *request,
                  sandbox_born *born, void *user_data, struct sandbox *ret, char *why,
                  size_t why_size)
{
    struct sandbox_birth birth = {.template = template,
                                  .request = request,
                                  .descriptors = {.plan_fd = -1},
                                  .ours = -1,
                                  .theirs = -1,
                                  .keep_stderr = getenv("CDSS_SANDBOX_STDERR") != NULL};
    int r = sandbox_mounts_make(request, &birth.mounts, why, why_size);
    if (r < 0) {
        return r;
    }
    r = make_descriptors(&birth, why, why_size);
    if (r == 0) {
        r = give_birth(&birth, born, user_data, ret, why, why_size);
    }
    cleanup_close_fd(&birth.ours);
    cleanup_close_fd(&birth.theirs);
    cleanup_close_fd(&birth.descriptors.plan_fd);
    sandbox_mounts_free(&birth.mounts);
    return r;
}
