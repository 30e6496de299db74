/*
 * From a tree to a sandbox whose supervisor says that it is ready.
 */
#include "cleanup.h"
#include "log.h"
#include "prepare_job.h"
#include "process.h"
#include "share_steps.h"
#include "stopping_point.h"
#include "supervision.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define READY_MS  30000
#define READER_MS 10000

/* -- RUN/shares/ID -- */

static int make_deadline(struct job *job, int directory)
{
    struct supervisor_deadline deadline = {.boottime_ns = job->share->row.deadline_ns};
    CLEANUP_CLOSE int fd =
        openat(directory, "deadline", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0 || fchmod(fd, 0644) < 0) {
        return -errno;
    }
    if (write(fd, &deadline, sizeof deadline) != (ssize_t)sizeof deadline) {
        return -EIO;
    }
    /* The sandbox gets a descriptor that can only read, of a file that root owns. */
    job->deadline_fd = openat(directory, "deadline", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return job->deadline_fd < 0 ? -errno : 0;
}

static int make_control(struct job *job, int directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    job->control_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (job->control_fd < 0) {
        return -errno;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control", directory);
    if (bind(job->control_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(job->control_fd, 4) < 0) {
        return -errno;
    }
    return 0;
}

static int make_status(struct job *job)
{
    job->status_fd = memfd_create("status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (job->status_fd < 0 || ftruncate(job->status_fd, sizeof(struct supervisor_status)) < 0 ||
        fcntl(job->status_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        return -errno;
    }
    return 0;
}

static int make_run_directory(struct job *job)
{
    const char *id = job->share->row.id;
    int ready[2];

    if (mkdirat(job->broker->run_shares_fd, id, 0700) < 0) {
        return -errno;
    }
    STOPPING_POINT("create.run_directory_made");
    CLEANUP_CLOSE int directory =
        openat(job->broker->run_shares_fd, id, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (directory < 0 || pipe2(ready, O_CLOEXEC) < 0) {
        return -errno;
    }
    job->ready_read_fd = ready[0];
    job->ready_write_fd = ready[1];
    int r = make_deadline(job, directory);
    STOPPING_POINT("create.deadline_made");
    r = r < 0 ? r : make_control(job, directory);
    STOPPING_POINT("create.control_made");
    return r < 0 ? r : make_status(job);
}

/* -- the sandbox -- */

static int born(const struct sandbox *sandbox, void *user_data)
{
    struct job *job = user_data;
    struct prepare_born message = {
        .kind = PREPARE_BORN, .pid = sandbox->pid, .start_time = process_start_time(sandbox->pid)};

    STOPPING_POINT("create.sandbox_cloned");
    int r = cgroup_enter(job->broker->cgroups, job->share->row.id, sandbox->pid);
    if (r < 0) {
        return r;
    }
    STOPPING_POINT("create.sandbox_grouped");
    r = worker_tell(job->fd, &message, sizeof message, &sandbox->pidfd, 1);
    STOPPING_POINT("create.sandbox_told");
    return r;
}

static int open_tree_directory(const struct job *job)
{
    int fd = openat(job->broker->shares_fd, job->share->row.id,
                    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static uint32_t collect_images(const struct job *job, struct sandbox_image *images)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < job->n_images; i++) {
        const struct job_image *image = &job->images[i];
        if (image->driver != IMAGE_DRIVER_NONE) {
            images[n++] = (struct sandbox_image){.contents = image->row.contents,
                                                 .mount_fd = image->mount_fd,
                                                 .idmap = image_can_idmap(image->file.info.type),
                                                 .fuse_fd = -1};
        }
    }
    return n;
}

static int start(struct job *job, const struct job_plan *plan)
{
    struct sandbox_image images[PREPARE_IMAGES_MAX];
    char why[400] = "";
    CLEANUP_CLOSE int tree = open_tree_directory(job);
    struct sandbox_request request = {
        .id = job->share->row.id,
        .cgroup_fd = job->group_fd,
        .hostname = "cdss",
        .uid_first = job->share->row.uid_first,
        .tree_fd = tree,
        .owner = job->owner,
        .group = job->group,
        .images = images,
        .n_images = collect_images(job, images),
        .files = plan->files,
        .n_files = plan->n_files,
        .plan = plan->plan,
        .any_host = plan->any_host,
    };

    if (tree < 0) {
        return tree;
    }
    cgroup_visit(job->broker->cgroups, job->share->row.id);
    int r =
        sandbox_start(job->broker->sandboxes, &request, born, job, &job->sandbox, why, sizeof why);
    if (r < 0) {
        return job_fail(job, r, "", "The sandbox could not be made: %s; nothing was shared.",
                        why[0] != '\0' ? why : strerror(-r));
    }
    return 0;
}

int job_start_sandbox(struct job *job)
{
    struct job_plan plan = {0};

    int r = make_run_directory(job);
    if (r < 0) {
        return job_fail(job, r, "", "The share's run directory could not be made: %s.",
                        strerror(-r));
    }
    r = job_make_plan(job, &plan);
    r = r < 0 ? r : job_fence(job);
    if (r == 0) {
        r = start(job, &plan);
        STOPPING_POINT("create.sandbox_started");
    }
    job_free_plan(&plan);
    for (uint32_t i = 0; i < job->share->row.n_protocols; i++) {
        ports_close(&job->ports[i]); /* the supervisor has them now */
    }
    close(TAKE_FD(job->ready_write_fd));
    return r;
}

/* -- readiness -- */

static int judge(struct job *job, const struct supervisor_ready *ready)
{
    if (ready->failed == 0) {
        return 0;
    }
    return job_fail(job, -ECANCELED, "protocol",
                    "The server for %s is not fit to start: %s; nothing was shared.",
                    job_printable(ready->service), job_printable(ready->reason));
}

int job_await_ready(struct job *job)
{
    char bytes[sizeof(struct supervisor_ready)];
    struct supervisor_ready ready;
    struct pollfd wait = {.fd = job->ready_read_fd, .events = POLLIN};

    int n = poll(&wait, 1, READY_MS);
    if (n == 0) {
        return job_fail(job, -ETIMEDOUT, "",
                        "The servers were not ready within %d seconds; nothing was shared.",
                        READY_MS / 1000);
    }
    ssize_t length = read(job->ready_read_fd, bytes, sizeof bytes);
    if (length < 0 || supervision_parse_ready(bytes, (size_t)length, &ready) < 0) {
        return job_fail(job, -EPIPE, "", SANDBOX_ENDED);
    }
    int r = judge(job, &ready);
    if (r == 0) {
        STOPPING_POINT("create.servers_ready");
        job_check_readers(job, job->sandbox.pidfd);
        STOPPING_POINT("create.readers_checked");
    }
    return r;
}
