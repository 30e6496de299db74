/* A job is a function of registry_write.h and what it is to be called with. */
#include "registry_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void registry_jobs_begin(struct registry_jobs *jobs)
{
    jobs->first = NULL;
    jobs->last = &jobs->first;
}

void registry_jobs_add(struct registry_jobs *jobs, struct registry_job *job)
{
    job->next = NULL;
    *jobs->last = job;
    jobs->last = &job->next;
}

struct registry_job *registry_jobs_take(struct registry_jobs *jobs)
{
    struct registry_job *job = jobs->first;
    if (job != NULL) {
        jobs->first = job->next;
        if (jobs->first == NULL) {
            jobs->last = &jobs->first;
        }
    }
    return job;
}

void registry_jobs_free(struct registry_jobs *jobs)
{
    for (struct registry_job *job; (job = registry_jobs_take(jobs)) != NULL;) {
        registry_job_free(job);
    }
}

void registry_job_free(struct registry_job *job)
{
    if (job != NULL) {
        free(job->share.clients);
        free(job->share.images);
        free(job->share.protocols);
        free(job);
    }
}

static struct registry_job *job_new(const char *id,
                                    int (*run)(sqlite3 *, const struct registry_job *))
{
    struct registry_job *job = calloc(1, sizeof *job);
    if (job != NULL) {
        job->run = run;
        snprintf(job->id, sizeof job->id, "%s", id);
    }
    return job;
}

/* False: no memory. Nothing is copied of an empty array. */
static bool copy_array(const void *items, uint32_t count, size_t size, void *ret)
{
    void *copy = NULL;
    if (count > 0) {
        copy = calloc(count, size);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, items, count * size);
    }
    memcpy(ret, &copy, sizeof copy);
    return true;
}

static struct registry_job *job_of_share(const struct registry_share *share,
                                         int (*run)(sqlite3 *, const struct registry_job *))
{
    struct registry_job *job = job_new(share->id, run);
    if (job == NULL) {
        return NULL;
    }
    job->share = *share;
    job->share.clients = NULL;
    job->share.images = NULL;
    job->share.protocols = NULL;
    if (!copy_array(share->clients, share->n_clients, sizeof *share->clients,
                    &job->share.clients) ||
        !copy_array(share->images, share->n_images, sizeof *share->images, &job->share.images) ||
        !copy_array(share->protocols, share->n_protocols, sizeof *share->protocols,
                    &job->share.protocols)) {
        registry_job_free(job);
        return NULL;
    }
    return job;
}

static int run_record(sqlite3 *database, const struct registry_job *job)
{
    return registry_write_record(database, &job->share, job->boot, &job->counters);
}

static int run_activate(sqlite3 *database, const struct registry_job *job)
{
    return registry_write_activate(database, &job->share);
}

static int run_extend(sqlite3 *database, const struct registry_job *job)
{
    return registry_write_extend(database, job->id, job->ends, job->deadline_ns);
}

static int run_images(sqlite3 *database, const struct registry_job *job)
{
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < job->share.n_images; i++) {
        error = registry_write_image(database, job->id, &job->share.images[i]);
    }
    return error;
}

static int run_guards(sqlite3 *database, const struct registry_job *job)
{
    return registry_write_guards(database, job->id, &job->share.images[0]);
}

static int run_release(sqlite3 *database, const struct registry_job *job)
{
    return registry_write_release(database, job->id, &job->client, job->ended);
}

static int run_begin_session(sqlite3 *database, const struct registry_job *job)
{
    return registry_write_session(database, job->id, &job->session);
}

static int run_end_sessions(sqlite3 *database, const struct registry_job *job)
{
    return registry_write_end_sessions(database, job->id, &job->session.token, job->others);
}

static int run_end(sqlite3 *database, const struct registry_job *job)
{
    return registry_write_end(database, job->id, job->ended, job->reason);
}

struct registry_job *registry_job_record(const struct registry_share *share)
{
    return job_of_share(share, run_record);
}

struct registry_job *registry_job_activate(const struct registry_share *share)
{
    return job_of_share(share, run_activate);
}

struct registry_job *registry_job_extend(const char *id, uint64_t ends, uint64_t deadline_ns)
{
    struct registry_job *job = job_new(id, run_extend);
    if (job != NULL) {
        job->ends = ends;
        job->deadline_ns = deadline_ns;
    }
    return job;
}

static struct registry_job *job_of_images(const char *id, const struct registry_image *images,
                                          uint32_t count,
                                          int (*run)(sqlite3 *, const struct registry_job *))
{
    struct registry_job *job = job_new(id, run);
    if (job != NULL && !copy_array(images, count, sizeof *images, &job->share.images)) {
        registry_job_free(job);
        return NULL;
    }
    if (job != NULL) {
        job->share.n_images = count;
    }
    return job;
}

struct registry_job *registry_job_images(const char *id, const struct registry_image *images,
                                         uint32_t count)
{
    return job_of_images(id, images, count, run_images);
}

struct registry_job *registry_job_guards(const char *id, const struct registry_image *image)
{
    return job_of_images(id, image, 1, run_guards);
}

struct registry_job *registry_job_release(const char *id, const struct prefix *client)
{
    struct registry_job *job = job_new(id, run_release);
    if (job != NULL) {
        job->client = *client;
        job->ended = (uint64_t)time(NULL);
        job->keep = true;
    }
    return job;
}

struct registry_job *registry_job_begin_session(const char *id,
                                                const struct registry_session *session)
{
    struct registry_job *job = job_new(id, run_begin_session);
    if (job != NULL) {
        job->session = *session;
    }
    return job;
}

/* Without a token it is one that nobody has: the hash of nothing is not all zeros. */
struct registry_job *registry_job_end_sessions(const char *id, const struct sha256 *token,
                                               bool others)
{
    struct registry_job *job = job_new(id, run_end_sessions);
    if (job != NULL) {
        job->session.token = token != NULL ? *token : (struct sha256){{0}};
        job->others = others;
        job->keep = true;
    }
    return job;
}

struct registry_job *registry_job_copy(const struct registry_job *job)
{
    struct registry_job *copy = malloc(sizeof *copy);
    if (copy != NULL) {
        *copy = *job;
        copy->share = (struct registry_share){0}; /* which an end does not have */
        copy->done = NULL;
    }
    return copy;
}

struct registry_job *registry_job_end(const char *id, const char *reason)
{
    struct registry_job *job = job_new(id, run_end);
    if (job != NULL) {
        job->ended = (uint64_t)time(NULL);
        job->keep = true;
        snprintf(job->reason, sizeof job->reason, "%s", reason);
    }
    return job;
}
