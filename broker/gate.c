/*
 * One request's way: counters, the worker that reads; gate_judge.c has the checks; and the answer,
 * in its moment.
 */
#include "gate_steps.h"

#include "cleanup.h"
#include "log.h"
#include "share.h"
#include "text.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S     1000000000ull
#define READ_LIMIT_S 20 /* then the disk does not answer */
#define READERS_MAX  16

/* -- life -- */

static void gate_free(struct gate *gate)
{
    struct gate **place = &gate->gates->first;

    while (*place != gate) {
        place = &(*place)->next;
    }
    *place = gate->next;
    loop_cancel(&gate->timer);
    verify_cancel(&gate->order);
    free(gate->images);
    free(gate->found);
    free(gate);
}

void gate_finish(struct gate *gate, const struct gate_verdict *verdict)
{
    gate_answer *answer = gate->answer;
    void *user_data = gate->user_data;

    gate->answer = NULL;
    if (answer != NULL) {
        answer(verdict, user_data);
    }
    gate_free(gate);
}

void gate_refuse(struct gate *gate, int error)
{
    gate_finish(
        gate, &(struct gate_verdict){.error = error, .field = "image", .sentence = gate->sentence});
}

static void moment_came(void *user_data)
{
    struct gate *gate = user_data;

    gate->timer = NULL;
    gate_refuse(gate, -EACCES);
}

void gate_refuse_at_moment(struct gate *gate)
{
    struct loop *loop = gate->gates->broker->loop;
    uint64_t moment = gate->gates->moment_ns;
    uint64_t moments = (loop_now() - gate->started_ns) / moment + 1;

    loop_cancel(&gate->timer);
    if (loop_at(loop, gate->started_ns + moments * moment, moment_came, gate, &gate->timer) < 0) {
        gate_refuse(gate, -ENOMEM);
    }
}

/* -- reading -- */

static void read_in_worker(int fd, void *user_data)
{
    const struct gate *gate = user_data;

    gate_read(fd, gate->gates->broker->images_fd, gate->images, gate->n_images);
}

static bool is_well_formed(const struct gate_found *found, uint32_t n_images)
{
    bool well = found->n_images == n_images && found->n_hashes <= GATE_CHECKS_MAX;

    for (uint32_t i = 0; well && i < found->n_hashes; i++) {
        well = found->hashes[i].guard < GUARDS_MAX;
    }
    return well;
}

static void read_heard(const void *message, size_t length, int *fds, unsigned n_fds,
                       void *user_data)
{
    struct gate *gate = user_data;

    while (n_fds > 0) {
        close(fds[--n_fds]);
    }
    if (gate->found == NULL && length == sizeof *gate->found &&
        is_well_formed(message, gate->n_images)) {
        gate->found = malloc(sizeof *gate->found);
        if (gate->found != NULL) {
            memcpy(gate->found, message, sizeof *gate->found);
        }
    }
}

static void read_gone(void *user_data)
{
    struct gate *gate = user_data;
    struct broker *broker = gate->gates->broker;

    gate->worker = NULL;
    loop_cancel(&gate->timer);
    if (gate->answer == NULL) {
        gate_free(gate);
    } else if (gate->found == NULL) {
        gate_say(gate, "The repository could not be read; see the broker's log.");
        gate_refuse_at_moment(gate);
    } else {
        gate_judge(gate);
    }
    if (broker->stopping) {
        share_settle_all(broker);
    }
}

static void read_overdue(void *user_data)
{
    struct gate *gate = user_data;

    gate->timer = NULL;
    log_write(LOG_LEVEL_WARN, "password.read", NULL,
              "the password files could not be read within %d s; does the disk answer?",
              READ_LIMIT_S);
    worker_kill(gate->worker);
}

static unsigned readers(const struct gates *gates)
{
    unsigned n = 0;

    for (const struct gate *gate = gates->first; gate != NULL; gate = gate->next) {
        n += gate->worker != NULL;
    }
    return n;
}

/* Before anything is looked at: from the loop, so that no answer comes from within gate_ask(). */
static void begin(void *user_data)
{
    struct gate *gate = user_data;
    struct loop *loop = gate->gates->broker->loop;
    uint64_t wait = gate->n_passwords == 0
                        ? 0
                        : gate_counts_wait(gate->gates->counts, &gate->requester, gate->peer);

    gate->timer = NULL;
    if (wait > 0) {
        gate_say_wait(gate, "from this address", wait);
        gate_refuse(gate, -EBUSY);
        return;
    }
    int r = readers(gate->gates) >= READERS_MAX ? -EBUSY : 0;
    if (r == 0) {
        r = loop_at(loop, loop_now() + READ_LIMIT_S * NS_PER_S, read_overdue, gate, &gate->timer);
    }
    if (r == 0) {
        r = worker_start(loop, read_in_worker, read_heard, read_gone, gate, &gate->worker);
    }
    if (r < 0) {
        loop_cancel(&gate->timer);
        gate_say(gate, "Too many requests are just being checked; try again in a moment.");
        gate_refuse(gate, -EBUSY);
    }
}

/* -- asking -- */

static void take_passwords(struct gate *gate, const struct texts *passwords)
{
    for (size_t i = 0; i < passwords->count; i++) {
        bool before = gate->n_passwords == GATE_PASSWORDS_MAX;
        for (uint32_t p = 0; !before && p < gate->n_passwords; p++) {
            before = strcmp(gate->passwords[p], passwords->items[i]) == 0;
        }
        if (!before) {
            gate->passwords[gate->n_passwords++] = passwords->items[i];
        }
    }
}

/* In whose name checks are made: of IPv6 the network's half. */
static void name_asker(struct gate *gate)
{
    struct address address = gate->requester;
    char text[ADDRESS_TEXT_SIZE];

    if (address.family == AF_INET6) {
        memset(address.bytes + 8, 0, 8);
    }
    address_format(&address, text);
    snprintf(gate->asker, sizeof gate->asker, "%s", text);
}

int gate_ask(struct gates *gates, const struct gate_request *request, gate_answer *answer,
             void *user_data, struct gate **ret)
{
    CLEANUP_FREE struct gate *gate = calloc(1, sizeof *gate);
    CLEANUP_FREE struct gate_image *images = calloc(request->n_images + 1, sizeof *images);

    if (gate == NULL || images == NULL || request->n_images > GATE_IMAGES_MAX) {
        return -ENOMEM;
    }
    memcpy(images, request->images, request->n_images * sizeof *images);
    gate->gates = gates;
    gate->requester = request->requester;
    gate->peer = request->peer;
    gate->n_images = request->n_images;
    gate->started_ns = loop_now();
    gate->answer = answer;
    gate->user_data = user_data;
    take_passwords(gate, request->passwords);
    name_asker(gate);
    int r = loop_at(gates->broker->loop, gate->started_ns, begin, gate, &gate->timer);
    if (r < 0) {
        return r;
    }
    gate->images = TAKE_PTR(images);
    gate->next = gates->first;
    gates->first = gate;
    *ret = TAKE_PTR(gate);
    return 0;
}

void gate_cancel(struct gate **gate)
{
    if (*gate == NULL) {
        return;
    }
    (*gate)->answer = NULL;
    if ((*gate)->worker != NULL) {
        worker_kill((*gate)->worker); /* freed when it is gone */
    } else {
        gate_free(*gate);
    }
    *gate = NULL;
}

/* -- all of them -- */

int gates_open(struct broker *broker, uint64_t moment_ns, struct gates **ret)
{
    CLEANUP_FREE struct gates *gates = calloc(1, sizeof *gates);

    if (gates == NULL) {
        return -ENOMEM;
    }
    gates->broker = broker;
    gates->moment_ns = moment_ns;
    int r = gate_counts_open(&gates->counts);
    if (r == 0) {
        *ret = TAKE_PTR(gates);
    }
    return r;
}

bool gates_reading(const struct gates *gates)
{
    return readers(gates) > 0;
}

void gates_close(struct gates *gates)
{
    if (gates == NULL) {
        return;
    }
    while (gates->first != NULL) {
        gate_free(gates->first);
    }
    gate_counts_close(gates->counts);
    free(gates);
}
