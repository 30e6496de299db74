/*
 * The thread and its two queues. The thread alone uses the connection `writer`, the caller alone
 * `reader`; a mutex guards the queues and is never held while the disk is waited for. In WAL mode
 * (sqlite.org/wal.html) reading does not wait for writing.
 */
#include "registry.h"

#include "cleanup.h"
#include "log.h"
#include "registry_job.h"
#include "registry_read.h"
#include "registry_schema.h"
#include "registry_sql.h"
#include "stopping_point.h"
#include "text.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define IMPATIENCE_MS 100 /* for a lock, after a write has failed: let the queue not grow */

struct registry {
    sqlite3 *reader, *writer;
    char boot[BOOT_ID_SIZE];
    struct registry_counters counters; /* the next to be given */
    char state_directory[PATH_MAX];
    unsigned generation; /* of the file */
    registry_renewed *renewed;
    void *renewed_data;
    bool healthy;
    int event;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    struct registry_jobs queue, results; /* guarded, and `stopping` too */
    bool stopping;
    uint64_t history;          /* s; guarded */
    struct registry_jobs late; /* the thread's: ends that could not be written yet */
};

/* In the thread. */

static int write_job(sqlite3 *database, const struct registry_job *job)
{
    int error = sql_exec(database, "BEGIN IMMEDIATE");
    STOPPING_POINT("registry.begun");
    if (error == 0) {
        error = job->run(database, job);
        STOPPING_POINT("registry.written");
    }
    if (error == 0) {
        error = sql_exec(database, "COMMIT");
        STOPPING_POINT("registry.committed");
    }
    if (error != 0 && sqlite3_get_autocommit(database) == 0) {
        sql_exec(database, "ROLLBACK");
    }
    return error;
}

/* The file did what it could; if it refused, then for what was asked of it. */
static bool is_written(int error)
{
    return error == 0 || error == -ENOENT || error == -EEXIST;
}

/* The file can be written again: so can what could not. */
static void write_late(struct registry *registry)
{
    while (registry->late.first != NULL &&
           is_written(write_job(registry->writer, registry->late.first))) {
        registry_job_free(registry_jobs_take(&registry->late));
    }
}

/* What is written to a file without a name is gone with the process. */
static bool is_moved(sqlite3 *database)
{
    int moved = 0;
    return sqlite3_file_control(database, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved != 0;
}

/* Once a share has ended, what ended long ago may go. */
static void prune(struct registry *registry)
{
    pthread_mutex_lock(&registry->mutex);
    uint64_t history = registry->history, now = (uint64_t)time(NULL);
    pthread_mutex_unlock(&registry->mutex);
    if (history == 0 || history > now || sql_exec(registry->writer, "BEGIN IMMEDIATE") != 0) {
        return;
    }
    bool pruned = registry_write_prune(registry->writer, now - history) == 0;
    if (!pruned || sql_exec(registry->writer, "COMMIT") != 0) {
        sql_exec(registry->writer, "ROLLBACK"); /* the next one tries again */
    }
}

static void run_job(struct registry *registry, struct registry_job *job)
{
    job->error = is_moved(registry->writer) ? -ESTALE : write_job(registry->writer, job);
    bool written = is_written(job->error);
    sqlite3_busy_timeout(registry->writer, written ? REGISTRY_PATIENCE_MS : IMPATIENCE_MS);
    if (written) {
        write_late(registry);
    } else if (job->keep) {
        struct registry_job *late = registry_job_copy(job);
        if (late != NULL) {
            registry_jobs_add(&registry->late, late);
        }
    }
}

/* The next job; NULL when there is none and there will be none. */
static struct registry_job *next_job(struct registry *registry)
{
    pthread_mutex_lock(&registry->mutex);
    while (registry->queue.first == NULL && !registry->stopping) {
        pthread_cond_wait(&registry->wanted, &registry->mutex);
    }
    struct registry_job *job = registry_jobs_take(&registry->queue);
    pthread_mutex_unlock(&registry->mutex);
    return job;
}

static void hand_back(struct registry *registry, struct registry_job *job)
{
    pthread_mutex_lock(&registry->mutex);
    registry_jobs_add(&registry->results, job);
    pthread_mutex_unlock(&registry->mutex);
    eventfd_write(registry->event, 1);
}

static void *thread_main(void *argument)
{
    struct registry *registry = argument;
    for (struct registry_job *job; (job = next_job(registry)) != NULL;) {
        run_job(registry, job);
        bool ended = job->ended != 0 && job->error == 0;
        hand_back(registry, job);
        if (ended) {
            prune(registry);
        }
    }
    write_late(registry);
    return NULL;
}

/* Opening and closing. */

/* A thread takes its signal mask from its maker. */
static int start_thread(struct registry *registry)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = -pthread_create(&registry->thread, NULL, thread_main, registry);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        registry->running = true;
        pthread_setname_np(registry->thread, "registry");
    }
    return error;
}

static int begin(struct registry *registry, const char *state_directory)
{
    registry->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (registry->event < 0) {
        return -errno;
    }
    if (text_copy(registry->state_directory, sizeof registry->state_directory, state_directory) !=
        0) {
        return -ENAMETOOLONG;
    }
    int error = registry_read_boot_id(registry->boot);
    if (error == 0) {
        error = registry_read_counters(registry->reader, &registry->counters);
    }
    if (error == 0) {
        error = registry_schema_connect(state_directory, &registry->writer);
    }
    return error == 0 ? start_thread(registry) : error;
}

int registry_open(const char *state_directory, struct registry **ret, char *why, size_t why_size)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL) {
        snprintf(why, why_size, "There is no memory for the registry.");
        return -ENOMEM;
    }
    registry->event = -1;
    registry->healthy = true;
    pthread_mutex_init(&registry->mutex, NULL);
    pthread_cond_init(&registry->wanted, NULL);
    registry_jobs_begin(&registry->queue);
    registry_jobs_begin(&registry->results);
    registry_jobs_begin(&registry->late);
    int error = registry_schema_open(state_directory, &registry->reader, why, why_size);
    if (error == 0) {
        error = begin(registry, state_directory);
        if (error != 0) {
            snprintf(why, why_size, "The registry in %s could not be started: %s.", state_directory,
                     strerror(-error));
        }
    }
    if (error != 0) {
        registry_close(registry);
        return error;
    }
    *ret = registry;
    return 0;
}

static void stop_thread(struct registry *registry)
{
    pthread_mutex_lock(&registry->mutex);
    registry->stopping = true;
    pthread_cond_signal(&registry->wanted);
    pthread_mutex_unlock(&registry->mutex);
    pthread_join(registry->thread, NULL);
    registry->stopping = registry->running = false;
}

void registry_close(struct registry *registry)
{
    if (registry == NULL) {
        return;
    }
    if (registry->running) {
        stop_thread(registry);
    }
    sqlite3_close(registry->reader);
    sqlite3_close(registry->writer);
    registry_jobs_free(&registry->queue);
    registry_jobs_free(&registry->results);
    registry_jobs_free(&registry->late);
    pthread_cond_destroy(&registry->wanted);
    pthread_mutex_destroy(&registry->mutex);
    if (registry->event >= 0) {
        close(registry->event);
    }
    free(registry);
}

/* In the caller's thread. */

int registry_fd(const struct registry *registry)
{
    return registry->event;
}

bool registry_healthy(const struct registry *registry)
{
    return registry->healthy;
}

static void note_health(struct registry *registry, const struct registry_job *job)
{
    bool healthy = is_written(job->error);
    if (healthy && !registry->healthy) {
        log_write(LOG_LEVEL_INFO, "registry", NULL, "the registry can be written again");
    } else if (!healthy && registry->healthy) {
        log_write(LOG_LEVEL_ERROR, "registry", NULL, "the registry cannot be written: %s",
                  strerror(-job->error));
    }
    registry->healthy = healthy;
}

/* Whatever is asked of it, it has not, and cannot. */
static void stand_in(sqlite3 **database)
{
    sqlite3_open(":memory:", database);
}

/* What is left of a damaged file is for people: closing it must not tidy it up, nor remove what now
 * belongs to another file of its name. */
static void close_untouched(sqlite3 *database)
{
    sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(database);
}

/* The loop waits for the disk here, which happens once in the life of a file. Both connections are
 * closed before it gets another name: SQLite finds what belongs to a file by its name. */
static int renew(struct registry *registry, const char *what)
{
    char why[300] = "";
    stop_thread(registry);
    close_untouched(TAKE_PTR(registry->reader));
    close_untouched(TAKE_PTR(registry->writer));
    int error = registry_schema_set_aside(registry->state_directory, what);
    error = error == -ENOENT ? 0 : error;
    if (error == 0) {
        error = registry_schema_open(registry->state_directory, &registry->reader, why, sizeof why);
    }
    if (error == 0) {
        error = registry_schema_connect(registry->state_directory, &registry->writer);
    }
    if (error != 0) {
        log_write(LOG_LEVEL_ERROR, "registry", NULL, "a new registry cannot be begun: %s",
                  why[0] != '\0' ? why : strerror(-error));
        sqlite3_close(TAKE_PTR(registry->reader));
        stand_in(&registry->reader);
        stand_in(&registry->writer);
    } else {
        registry->generation++;
    }
    int started = start_thread(registry);
    return error != 0 ? error : started;
}

/* The file cannot be used any more, and the job was meant for it and not for one before. */
static void judge_file(struct registry *registry, const struct registry_job *job)
{
    bool lost = registry->writer == NULL || sqlite3_db_filename(registry->writer, "main") == NULL ||
                sqlite3_db_filename(registry->writer, "main")[0] == '\0';
    bool unusable = job->error == -EBADMSG || job->error == -ESTALE || lost;
    if (unusable && job->generation == registry->generation &&
        renew(registry, job->error == -ESTALE ? "was moved or removed while it was in use"
                                              : "is damaged") == 0 &&
        registry->renewed != NULL) {
        registry->renewed(registry->renewed_data);
    }
}

static struct registry_job *take_result(struct registry *registry)
{
    pthread_mutex_lock(&registry->mutex);
    struct registry_job *job = registry_jobs_take(&registry->results);
    pthread_mutex_unlock(&registry->mutex);
    return job;
}

void registry_dispatch(struct registry *registry)
{
    eventfd_t count;
    eventfd_read(registry->event, &count);
    for (struct registry_job *job; (job = take_result(registry)) != NULL;) {
        note_health(registry, job);
        judge_file(registry, job);
        if (job->done != NULL) {
            job->done(job->error, job->user_data);
        }
        registry_job_free(job);
    }
}

/* A full disk does not keep the live shares from being taken up again: rows of another boot stay
 * what they are, and are closed at the next start. */
int registry_load(struct registry *registry, struct registry_share **ret, uint32_t *ret_count)
{
    int error = registry_read_close_others(registry->reader, registry->boot);
    if (error != 0) {
        log_write(LOG_LEVEL_ERROR, "registry", NULL,
                  "the shares before the restart could not be closed: %s", strerror(-error));
        registry->healthy = false;
    }
    error = registry_read_live(registry->reader, registry->boot, ret, ret_count);
    if (error == -EBADMSG) { /* nothing lives that it could tell of */
        error = renew(registry, "is damaged");
        if (error == 0) {
            error = registry_read_live(registry->reader, registry->boot, ret, ret_count);
        }
    }
    return error;
}

void registry_keep_history(struct registry *registry, uint64_t seconds)
{
    pthread_mutex_lock(&registry->mutex);
    registry->history = seconds;
    pthread_mutex_unlock(&registry->mutex);
}

void registry_on_renewal(struct registry *registry, registry_renewed *renewed, void *user_data)
{
    registry->renewed = renewed;
    registry->renewed_data = user_data;
}

void registry_shares_free(struct registry_share *shares, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(shares[i].clients);
        free(shares[i].images);
        free(shares[i].protocols);
    }
    free(shares);
}

uint32_t registry_next_mark(struct registry *registry)
{
    uint32_t mark = registry->counters.mark;
    registry->counters.mark = mark == 0xffffff ? 1 : mark + 1;
    return mark;
}

uint32_t registry_next_block(struct registry *registry)
{
    return registry->counters.block++;
}

static int queue_job(struct registry *registry, struct registry_job *job, registry_done *done,
                     void *user_data)
{
    if (job == NULL) {
        return -ENOMEM;
    }
    job->boot = registry->boot;
    job->generation = registry->generation;
    job->counters = registry->counters;
    job->done = done;
    job->user_data = user_data;
    pthread_mutex_lock(&registry->mutex);
    registry_jobs_add(&registry->queue, job);
    pthread_cond_signal(&registry->wanted);
    pthread_mutex_unlock(&registry->mutex);
    return 0;
}

int registry_record(struct registry *registry, const struct registry_share *share,
                    registry_done *done, void *user_data)
{
    return queue_job(registry, registry_job_record(share), done, user_data);
}

int registry_activate(struct registry *registry, const struct registry_share *share,
                      registry_done *done, void *user_data)
{
    return queue_job(registry, registry_job_activate(share), done, user_data);
}

int registry_extend(struct registry *registry, const char *id, uint64_t ends, uint64_t deadline_ns,
                    registry_done *done, void *user_data)
{
    return queue_job(registry, registry_job_extend(id, ends, deadline_ns), done, user_data);
}

int registry_add_images(struct registry *registry, const char *id,
                        const struct registry_image *images, uint32_t count, registry_done *done,
                        void *user_data)
{
    return queue_job(registry, registry_job_images(id, images, count), done, user_data);
}

int registry_guards(struct registry *registry, const char *id, const struct registry_image *image,
                    registry_done *done, void *user_data)
{
    return queue_job(registry, registry_job_guards(id, image), done, user_data);
}

int registry_release(struct registry *registry, const char *id, const struct prefix *client,
                     registry_done *done, void *user_data)
{
    return queue_job(registry, registry_job_release(id, client), done, user_data);
}

int registry_begin_session(struct registry *registry, const char *id,
                           const struct registry_session *session, registry_done *done,
                           void *user_data)
{
    return queue_job(registry, registry_job_begin_session(id, session), done, user_data);
}

int registry_end_sessions(struct registry *registry, const char *id, const struct sha256 *token,
                          bool others, registry_done *done, void *user_data)
{
    return queue_job(registry, registry_job_end_sessions(id, token, others), done, user_data);
}

int registry_end(struct registry *registry, const char *id, const char *reason, registry_done *done,
                 void *user_data)
{
    return queue_job(registry, registry_job_end(id, reason), done, user_data);
}

int registry_last_end(struct registry *registry, const char *user, uint64_t *ret_ended,
                      char *reason, size_t reason_size)
{
    sqlite3_busy_timeout(registry->reader, 0); /* the loop does not wait for a lock */
    return registry_read_last_end(registry->reader, user, ret_ended, reason, reason_size);
}
