/*
 * The order of things, and the conversation with the loop.
 */
#include "prepare.h"

#include "cleanup.h"
#include "log.h"
#include "prepare_job.h"
#include "stopping_point.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int job_fail(struct job *job, int error, const char *field, const char *format, ...)
{
    va_list arguments;

    if (job->failed.kind != PREPARE_FAILED) {
        job->failed.kind = PREPARE_FAILED;
        snprintf(job->failed.field, sizeof job->failed.field, "%s", field);
        va_start(arguments, format);
        vsnprintf(job->failed.sentence, sizeof job->failed.sentence, format, arguments);
        va_end(arguments);
    }
    return error;
}

void job_progress(struct job *job, uint32_t step, const char *format, ...)
{
    struct prepare_progress progress = {.kind = PREPARE_PROGRESS, .step = step};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(progress.text, sizeof progress.text, format, arguments);
    va_end(arguments);
    worker_tell(job->fd, &progress, sizeof progress, NULL, 0);
}

const char *job_printable(const char *text)
{
    static char rotating[4][400];
    static unsigned turn;
    CLEANUP_TEXT struct text printable = {0};
    char *buffer = rotating[turn++ % 4];

    text_add_printable(&printable, text, strlen(text));
    snprintf(buffer, sizeof rotating[0], "%s", printable.data != NULL ? printable.data : "");
    return buffer;
}

static int tell_done(struct job *job)
{
    static struct prepare_done done = {.kind = PREPARE_DONE};

    done.n_images = job->n_images;
    done.n_protocols = job->share->row.n_protocols;
    for (uint32_t i = 0; i < job->n_images; i++) {
        done.images[i] = job->images[i].row;
    }
    for (uint32_t i = 0; i < done.n_protocols; i++) {
        done.ports[i] = job->ports[i].port;
    }
    size_t length = offsetof(struct prepare_done, images) + job->n_images * sizeof done.images[0];
    bool status = job->status_fd >= 0;
    STOPPING_POINT("prepare.all_done");
    int r = worker_tell(job->fd, &done, length, &job->status_fd, status ? 1 : 0);
    STOPPING_POINT("prepare.end_told");
    return r;
}

struct step {
    int (*run)(struct job *job);
    const char *text;
};

static const struct step creating[] = {
    {job_open_images, "looking at the images"},
    {job_mount_images, "mounting the images"},
    {job_link_images, "linking the images"},
    {job_bind_ports, "binding ports"},
    {job_start_sandbox, "starting the sandbox"},
    {job_await_ready, NULL},
    {tell_done, NULL},
};

static const struct step adding[] = {
    {job_open_images, "looking at the images"},
    {job_mount_images, "mounting the images"},
    {job_link_images, "linking the images"},
    {job_add_images, "showing the images"},
    {tell_done, NULL},
};

static int run_steps(struct job *job, const struct step *steps, size_t n_steps)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n_steps; i++) {
        if (steps[i].text != NULL) {
            job_progress(job, (uint32_t)i + 1, "%s", steps[i].text);
        }
        r = steps[i].run(job);
    }
    return r;
}

static struct job make_job(int fd, struct share *share)
{
    return (struct job){.broker = share->broker,
                        .share = share,
                        .preparation = share->preparation,
                        .fd = fd,
                        .n_images = share->preparation == NULL ? 0 : share->preparation->n_images,
                        .group_fd = -1,
                        .deadline_fd = -1,
                        .control_fd = -1,
                        .status_fd = -1,
                        .ready_read_fd = -1,
                        .ready_write_fd = -1,
                        .patience_ns = loop_now() + PREPARE_PATIENCE_S * 1000000000ull};
}

void prepare_undo(int fd, void *user_data)
{
    static struct job job;

    job = make_job(fd, user_data);
    job_take_back(&job);
}

void prepare_work(int fd, void *user_data)
{
    static struct job job; /* large; this process does one job */

    job = make_job(fd, user_data);
    int r = job.preparation->adding ? run_steps(&job, adding, ARRAY_SIZE(adding))
                                    : run_steps(&job, creating, ARRAY_SIZE(creating));
    if (r < 0) {
        job_fail(&job, r, "", "The share could not be prepared: %s.", strerror(-r));
        worker_tell(fd, &job.failed, sizeof job.failed, NULL, 0);
    }
}
