/*
 * FUSE readers and images for a live sandbox. What joins a sandbox's mount namespace does so in a
 * child process with a time limit; what touches FUSE there does so as the share's own user.
 */
#include "beneath.h"
#include "cleanup.h"
#include "prepare_job.h"
#include "process.h"
#include "share_log.h"
#include "share_steps.h"
#include "stopping_point.h"
#include "supervision.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define READER_MS       10000
#define READER_LEAST_MS 400 /* of each, when there is no patience left: 64 of them are 26 s */

/* Runs `work` in a child process that gives its result as exit status; a child that takes longer
 * than `timeout_ms` is killed, and not waited for: where a reader has read the child's request and
 * does not answer, SIGKILL waits for the end of the connection (readers.h). 0, a positive status,
 * or -ETIMEDOUT. */
static int in_child(int (*work)(void *argument), void *argument, int timeout_ms)
{
    int status = 0;
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        process_die_with(parent);
        _exit(work(argument));
    }
    CLEANUP_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    int n = poll(&wait, 1, timeout_ms);
    if (n <= 0) {
        kill(pid, SIGKILL);
        return -ETIMEDOUT; /* init, or who is the broker's, collects it */
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* How long to wait for a reader: many that hang must not keep the share for many times that. */
static int patience(const struct job *job)
{
    uint64_t now = loop_now();
    uint64_t left = job->patience_ns > now ? (job->patience_ns - now) / 1000000 : 0;

    return left > READER_MS ? READER_MS : left < READER_LEAST_MS ? READER_LEAST_MS : (int)left;
}

struct look {
    const char *contents;
    int pidfd;
    uid_t uid;
};

/* In a child, as the share's own user: root touches no FUSE. Exit status 0: something is shown. */
static int look_inside(void *argument)
{
    const struct look *look = argument;
    pid_t parent = getppid();

    if (setns(look->pidfd, CLONE_NEWNS) < 0 ||
        syscall(SYS_setresgid, look->uid, look->uid, look->uid) < 0 ||
        syscall(SYS_setresuid, look->uid, look->uid, look->uid) < 0) {
        return 2;
    }
    process_die_with(parent);
    CLEANUP_CLOSE int tree = open(SANDBOX_TREE, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int inside = beneath_open(tree, look->contents, O_RDONLY | O_DIRECTORY);
    CLEANUP_DIR DIR *directory = inside < 0 ? NULL : fdopendir(inside);
    if (directory == NULL) {
        return 1;
    }
    TAKE_FD(inside);
    return readdir(directory) == NULL ? 1 : 0;
}

struct removal {
    const char *contents;
    int pidfd;
};

static int remove_contents(void *argument)
{
    const struct removal *removal = argument;

    return sandbox_remove_image(removal->pidfd, removal->contents) < 0;
}

static void check_reader(struct job *job, struct job_image *image, int pidfd)
{
    struct look look = {
        .contents = image->row.contents, .pidfd = pidfd, .uid = job->share->row.uid_first + 2};
    struct removal removal = {.contents = image->row.contents, .pidfd = pidfd};

    int r = in_child(look_inside, &look, patience(job));
    if (r == 0) {
        return;
    }
    in_child(remove_contents, &removal, patience(job));
    tree_remove_contents(job->broker->shares_fd, job->share->row.id, image->row.contents);
    image->row.contents[0] = '\0';
    snprintf(image->row.note, sizeof image->row.note, "%s",
             r == -ETIMEDOUT ? "its reader did not answer"
                             : "it is damaged: nothing in it can be read");
}

void job_check_readers(struct job *job, int pidfd)
{
    for (uint32_t i = 0; i < job->n_images; i++) {
        if (job->images[i].driver == IMAGE_DRIVER_FUSEISO) {
            check_reader(job, &job->images[i], pidfd);
        }
    }
}

/* -- adding to a live sandbox -- */

struct addition {
    struct job *job;
    struct sandbox_image image;
    int fd; /* to the worker: the reason, and a descriptor for FUSE */
};

/* In a child: it joins the sandbox's mount namespace and cannot come back. */
static int show_image(void *argument)
{
    struct addition *addition = argument;
    const struct job *job = addition->job;
    char why[400] = "";

    int r = sandbox_add_image(job->broker->sandboxes, job->share->pidfd, job->share->row.uid_first,
                              &addition->image, why, sizeof why);
    if (r < 0) {
        snprintf(why, sizeof why, "%s", why[0] != '\0' ? why : strerror(-r));
        worker_tell(addition->fd, why, sizeof why, NULL, 0);
        return 1;
    }
    worker_tell(addition->fd, why, sizeof why, &addition->image.fuse_fd,
                addition->image.fuse_fd >= 0 ? 1 : 0);
    return 0;
}

static int add_reader(struct job *job, const struct job_image *image, int fuse_fd)
{
    struct supervisor_service service;

    int r = job_reader(image, &service);
    return r < 0 ? r
                 : supervision_add_reader(job->broker->run_shares_fd, job->share->row.id, &service,
                                          fuse_fd, patience(job));
}

static int add_image(struct job *job, struct job_image *image)
{
    char why[400] = "it did not answer";
    int pair[2], fds[4] = {-1, -1, -1, -1};
    unsigned n_fds = 0;

    if (image->driver == IMAGE_DRIVER_NONE) {
        return 0;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    CLEANUP_CLOSE int mine = pair[0];
    CLEANUP_CLOSE int its = pair[1];
    struct addition addition = {.job = job,
                                .image = {.contents = image->row.contents,
                                          .mount_fd = image->mount_fd,
                                          .idmap = image_can_idmap(image->file.info.type),
                                          .fuse_fd = -1},
                                .fd = its};
    int r = in_child(show_image, &addition, patience(job));
    close(TAKE_FD(its));
    if (worker_hear(mine, why, sizeof why, fds, &n_fds) == (ssize_t)sizeof why) {
        why[sizeof why - 1] = '\0';
    }
    CLEANUP_CLOSE int fuse_fd = n_fds > 0 ? fds[0] : -1;
    STOPPING_POINT("add.image_shown");
    if (r == 0 && image->driver == IMAGE_DRIVER_FUSEISO) {
        r = add_reader(job, image, fuse_fd);
        STOPPING_POINT("add.reader_handed");
        if (r < 0) {
            snprintf(why, sizeof why, "its reader was not accepted (%s)", strerror(-r));
        }
    }
    if (r != 0) {
        return job_fail(job, -EIO, "image", "The contents of \"%s\" could not be shown: %s.",
                        job_printable(image->row.path.text), why);
    }
    return 0;
}

/* Nothing is asked of what this job or its predecessor did: whatever is not the share's own goes.
 */
static void take_back_image(const char *contents, void *user_data)
{
    const struct job *job = user_data;
    struct removal removal = {.contents = contents, .pidfd = job->share->pidfd};

    if (!share_has_contents(&job->share->row, contents)) {
        in_child(remove_contents, &removal, patience(job));
        STOPPING_POINT("take_back.image_removed");
    }
}

void job_take_back(struct job *job)
{
    int r = sandbox_each_image(job->share->row.pid, take_back_image, job);

    if (r < 0) { /* it has just ended */
        share_log(LOG_LEVEL_WARN, "share.add", &job->share->row,
                  "what is shown cannot be taken back: %s", strerror(-r));
    }
    job_unlink_images(job);
}

int job_add_images(struct job *job)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < job->n_images; i++) {
        r = add_image(job, &job->images[i]);
    }
    if (r < 0) {
        job_take_back(job);
        return r;
    }
    job_check_readers(job, job->share->pidfd);
    STOPPING_POINT("add.readers_checked");
    return 0;
}
