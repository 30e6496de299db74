/*
 * One write on its way to the registry's thread and, with its result, back: a copy of all that it
 * needs.
 */
#pragma once

#include "registry.h"
#include "registry_write.h"

struct registry_job {
    struct registry_job *next;
    int (*run)(sqlite3 *database, const struct registry_job *job);
    char id[SHARE_ID_SIZE];
    struct registry_share share; /* record, activate; add, guards: images alone */
    const char *boot;            /* record; the registry's */
    struct registry_counters counters;
    uint64_t ends, deadline_ns; /* extend */
    uint64_t ended;             /* end, release */
    char reason[256];
    struct prefix client;            /* release */
    struct registry_session session; /* begin, end */
    bool others;                     /* end: all but this one */
    bool keep;                       /* an end: try again when it fails */
    registry_done *done;
    void *user_data;
    int error;
    unsigned generation; /* of the file that it was meant for */
};

/* In order of arrival. */
struct registry_jobs {
    struct registry_job *first, **last;
};

void registry_jobs_begin(struct registry_jobs *jobs);
void registry_jobs_add(struct registry_jobs *jobs, struct registry_job *job);
struct registry_job *registry_jobs_take(struct registry_jobs *jobs); /* NULL: none */
void registry_jobs_free(struct registry_jobs *jobs);

/* One of each kind, or NULL: no memory. */
struct registry_job *registry_job_record(const struct registry_share *share);
struct registry_job *registry_job_activate(const struct registry_share *share);
struct registry_job *registry_job_extend(const char *id, uint64_t ends, uint64_t deadline_ns);
struct registry_job *registry_job_images(const char *id, const struct registry_image *images,
                                         uint32_t count);
struct registry_job *registry_job_guards(const char *id, const struct registry_image *image);
struct registry_job *registry_job_release(const char *id, const struct prefix *client);
struct registry_job *registry_job_begin_session(const char *id,
                                                const struct registry_session *session);
struct registry_job *registry_job_end_sessions(const char *id, const struct sha256 *token,
                                               bool others);
struct registry_job *registry_job_end(const char *id, const char *reason);
/* Another one like it that nobody waits for; of a job with `keep`. */
struct registry_job *registry_job_copy(const struct registry_job *job);
void registry_job_free(struct registry_job *job);
