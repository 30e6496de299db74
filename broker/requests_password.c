/*
 * `cdss password`: an administrator's request is judged here, its password hashed by verify.h, and
 * its file read and written by a worker.
 */
#include "requests.h"

#include "cleanup.h"
#include "log.h"
#include "messages.h"
#include "passwd_edit.h"
#include "verify.h"
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_S  20 /* then the disk does not answer */
#define NS_PER_S 1000000000ull

struct edit {
    struct broker *broker;
    struct connection *connection; /* NULL when it has hung up */
    struct passwd_order order;
    struct verify_order *hashing;
    struct worker *worker;
    struct loop_timer *limit;
    struct passwd_outcome *outcome; /* as heard; NULL before */
};

static void edit_free(struct edit *edit)
{
    verify_cancel(&edit->hashing);
    loop_cancel(&edit->limit);
    free(edit->outcome);
    explicit_bzero(&edit->order, sizeof edit->order);
    free(edit);
}

/* -- the worker -- */

static void work(int fd, void *user_data)
{
    static struct passwd_outcome outcome;
    const struct edit *edit = user_data;

    passwd_edit(edit->broker->images_fd, &edit->order, &outcome);
    worker_tell(fd, &outcome, sizeof outcome, NULL, 0);
}

static void heard(const void *message, size_t length, int *fds, unsigned n_fds, void *user_data)
{
    struct edit *edit = user_data;

    while (n_fds > 0) {
        close(fds[--n_fds]);
    }
    if (edit->outcome == NULL && length == sizeof *edit->outcome) {
        edit->outcome = malloc(sizeof *edit->outcome);
        if (edit->outcome != NULL) {
            memcpy(edit->outcome, message, sizeof *edit->outcome);
        }
    }
}

static void send_records(const struct edit *edit)
{
    for (uint32_t i = 0; i < edit->outcome->n_records && i < PASSWD_RECORDS_MAX; i++) {
        struct passwd_record *record = &edit->outcome->records[i];
        struct message_password message = {.line = record->line,
                                           .label = record->label,
                                           .method = record->method,
                                           .note = record->note};
        connection_send(edit->connection, MESSAGE_PASSWORD, &message);
    }
}

static void answer(const struct edit *edit)
{
    const struct passwd_outcome *outcome = edit->outcome;

    if (outcome == NULL) {
        connection_refuse(edit->connection, "",
                          "The password file could not be worked on within %d seconds; does the "
                          "disk answer?",
                          LIMIT_S);
    } else if (outcome->error < 0) {
        connection_refuse(edit->connection, outcome->field, "%s", outcome->sentence);
    } else {
        send_records(edit);
        connection_done(edit->connection, outcome->nothing ? 3 : 0, "%s", outcome->sentence);
    }
}

static void gone(void *user_data)
{
    struct edit *edit = user_data;

    if (edit->outcome != NULL && edit->outcome->error == 0 && !edit->outcome->nothing &&
        edit->order.task != PASSWD_LIST) {
        log_write(LOG_LEVEL_INFO, "password.changed", NULL, "%s", edit->outcome->sentence);
    }
    if (edit->connection != NULL) {
        answer(edit);
    }
    edit_free(edit);
}

static void overdue(void *user_data)
{
    struct edit *edit = user_data;

    edit->limit = NULL;
    worker_kill(edit->worker);
}

static void start(struct edit *edit)
{
    struct loop *loop = edit->broker->loop;

    int r = loop_at(loop, loop_now() + LIMIT_S * NS_PER_S, overdue, edit, &edit->limit);
    if (r == 0) {
        r = worker_start(loop, work, heard, gone, edit, &edit->worker);
    }
    if (r < 0) {
        connection_refuse(edit->connection, "", "The broker could not start a process: %s.",
                          strerror(-r));
        edit_free(edit);
    }
}

/* -- the request -- */

/* What was begun with a file comes to its end, whoever waits for it. */
static void abandoned(struct connection *connection, void *user_data)
{
    struct edit *edit = user_data;

    (void)connection;
    edit->connection = NULL;
    if (edit->worker == NULL) {
        edit_free(edit);
    }
}

/* "" and "." are the repository. Answers the connection itself when the path is none. */
static int take_path(struct connection *connection, const char *given, char *ret, size_t size)
{
    struct image_path path = {""};
    const char *why = NULL;
    size_t length = strlen(given);

    length -= length > 1 && given[length - 1] == '/';
    if (strcmp(given, ".") != 0 && length > 0 && parse_image_path(given, length, &path, &why) < 0) {
        connection_refuse(connection, "image", "That path %s.", why);
        return -EINVAL;
    }
    snprintf(ret, size, "%s", path.text);
    return 0;
}

static int take_label(struct connection *connection, const char *given, bool may_be_line,
                      struct passwd_order *order)
{
    const char *why = NULL;

    if (!(may_be_line && given[0] == '#') && passwd_label_parse(given, &why) < 0) {
        connection_refuse(connection, "label", "That label %s.", why);
        return -EINVAL;
    }
    snprintf(order->label, sizeof order->label, "%s", given);
    return 0;
}

static struct edit *edit_new(struct broker *broker, struct connection *connection,
                             enum passwd_task task, const char *path)
{
    CLEANUP_FREE struct edit *edit = calloc(1, sizeof *edit);

    if (edit == NULL) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return NULL;
    }
    edit->broker = broker;
    edit->connection = connection;
    edit->order.task = task;
    if (take_path(connection, path, edit->order.path, sizeof edit->order.path) < 0) {
        return NULL;
    }
    return TAKE_PTR(edit);
}

static void hashed(int error, const char *hash, void *user_data)
{
    struct edit *edit = user_data;

    edit->hashing = NULL;
    if (error < 0 || strlen(hash) >= sizeof edit->order.hash) {
        connection_refuse(edit->connection, "",
                          "The password could not be hashed, see the broker's log; nothing was "
                          "changed.");
        edit_free(edit);
        return;
    }
    memcpy(edit->order.hash, hash, strlen(hash) + 1);
    start(edit);
}

static void hash(struct edit *edit, const char *password)
{
    char name[32];

    snprintf(name, sizeof name, "uid %u", connection_peer(edit->connection)->uid);
    const struct verify_asker asker = {.name = name, .administrator = true};
    int r = verify_hash(edit->broker->verify, &asker, password, hashed, edit, &edit->hashing);
    if (r < 0) {
        connection_refuse(edit->connection, "",
                          "The password cannot be hashed just now (%s); try again in a moment.",
                          strerror(-r));
        edit_free(edit);
    }
}

int request_password_add(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_password_add *request = body;
    struct edit *edit = edit_new(broker, connection, PASSWD_ADD, request->path);

    if (edit == NULL) {
        return 0;
    }
    if (take_label(connection, request->label, false, &edit->order) < 0) {
        edit_free(edit);
        return 0;
    }
    connection_later(connection, abandoned, edit);
    hash(edit, request->password);
    return 0;
}

int request_password_remove(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_password_remove *request = body;
    struct edit *edit = edit_new(broker, connection, PASSWD_REMOVE, request->path);

    if (edit == NULL) {
        return 0;
    }
    if (request->label[0] == '\0') {
        connection_refuse(connection, "label",
                          "Which password? Name its label, or its line as #3; 'cdss password list' "
                          "shows both.");
    } else if (take_label(connection, request->label, true, &edit->order) == 0) {
        connection_later(connection, abandoned, edit);
        start(edit);
        return 0;
    }
    edit_free(edit);
    return 0;
}

int request_password_list(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_password_list *request = body;
    struct edit *edit = edit_new(broker, connection, PASSWD_LIST, request->path);

    if (edit != NULL) {
        connection_later(connection, abandoned, edit);
        start(edit);
    }
    return 0;
}
