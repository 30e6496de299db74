/*
 * The repository is listed by a worker that writes to the connection itself, and tells the loop
 * when the last word is said.
 */
#include "requests.h"

#include "catalogue.h"
#include "cleanup.h"
#include "messages.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SEND_MS 30000

struct listing {
    struct broker *broker;
    struct connection *connection; /* NULL when it has hung up */
    char *pattern;
    int out; /* in the worker */
    bool answered;
    struct worker *worker;
};

static int send_waiting(int fd, uint16_t id, const void *body)
{
    CLEANUP_TEXT struct text bytes = {0};

    int r = wire_encode(id, body, &bytes, NULL);
    while (r == 0 && send(fd, bytes.data, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (errno != EAGAIN || poll(&wait, 1, SEND_MS) <= 0) {
            return -EPIPE;
        }
    }
    return r;
}

static int send_image(const struct catalogue_entry *entry, void *user_data)
{
    const struct listing *listing = user_data;
    const char *why = NULL;
    struct message_image image = {
        .path = (char *)(uintptr_t)entry->path,
        .type = (char *)(uintptr_t)image_type_name(entry->info.type),
        .size = entry->info.size,
        .mountable =
            entry->info.needs <= entry->info.size &&
            image_driver_for(&listing->broker->settings, &entry->info, &why) != IMAGE_DRIVER_NONE,
        .is_protected = entry->is_protected,
    };

    return send_waiting(listing->out, MESSAGE_IMAGE, &image);
}

static void list_images(int fd, void *user_data)
{
    struct listing *listing = user_data;
    char sentence[200] = "";

    listing->out = connection_fd(listing->connection);
    int r = catalogue_scan(listing->broker->images_fd, listing->pattern, send_image, listing);
    if (r == 0) {
        r = send_waiting(listing->out, MESSAGE_DONE,
                         &(struct message_done){.outcome = 0, .sentence = sentence});
    } else if (r != -EPIPE) {
        snprintf(sentence, sizeof sentence, "The repository could not be read: %s.", strerror(-r));
        r = send_waiting(listing->out, MESSAGE_REFUSED,
                         &(struct message_refused){.field = (char[]){""}, .sentence = sentence});
    }
    if (r == 0) {
        worker_tell(fd, "answered", sizeof "answered", NULL, 0);
    }
}

static void listing_answered(const void *message, size_t length, int *fds, unsigned n_fds,
                             void *user_data)
{
    struct listing *listing = user_data;

    (void)message;
    (void)length;
    (void)fds;
    (void)n_fds;
    listing->answered = true;
}

static void listed(void *user_data)
{
    struct listing *listing = user_data;

    if (listing->connection != NULL && listing->answered) {
        connection_answered(listing->connection);
    } else if (listing->connection != NULL) {
        connection_refuse(listing->connection, "",
                          "The process that listed the repository ended unexpectedly.");
    }
    free(listing->pattern);
    free(listing);
}

static void listing_abandoned(struct connection *connection, void *user_data)
{
    struct listing *listing = user_data;

    (void)connection;
    listing->connection = NULL;
    worker_kill(listing->worker);
}

int request_images(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_image_list *request = body;
    CLEANUP_FREE struct listing *listing = calloc(1, sizeof *listing);
    CLEANUP_FREE char *pattern = strdup(request->pattern);
    int r = listing == NULL || pattern == NULL ? -ENOMEM : 0;

    if (r == 0) {
        *listing = (struct listing){.broker = broker, .connection = connection, .pattern = pattern};
        r = worker_start(broker->loop, list_images, listing_answered, listed, listing,
                         &listing->worker);
    }
    if (r < 0) {
        connection_refuse(connection, "", "The repository could not be listed: %s.", strerror(-r));
        return 0;
    }
    connection_later(connection, listing_abandoned, listing);
    TAKE_PTR(pattern);
    TAKE_PTR(listing);
    return 0;
}
