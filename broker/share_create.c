/*
 * From a checked request to an active share: record the row, prepare, open the firewall, record
 * that it is active, answer. Whatever fails on the way, share_end() undoes.
 */
#include "share.h"

#include "answer.h"
#include "cleanup.h"
#include "prepare.h"
#include "session.h"
#include "share_log.h"
#include "share_steps.h"
#include "stopping_point.h"
#include "turns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define NOT_WRITTEN "The registry cannot be written, see the broker's log; nothing was shared."

void share_preparing_failed(struct share *share, const char *field, const char *sentence)
{
    if (share->state == SHARE_ENDING) {
        return;
    }
    snprintf(share->sentence, sizeof share->sentence, "%s", sentence);
    snprintf(share->field, sizeof share->field, "%s", field);
    share_log(LOG_LEVEL_WARN, "share.failed", &share->row, "%s", sentence);
    share_end(share, "it could not be prepared");
}

/* The registry has answered: false when the share goes no further, and is already being ended. */
static bool was_written(struct share *share, int error)
{
    share->writes--;
    if (share->state == SHARE_ENDING) {
        share_continue_end(share);
        return false;
    }
    if (error < 0) {
        share_preparing_failed(share, "", NOT_WRITTEN);
        return false;
    }
    return true;
}

static void activated(int error, void *user_data)
{
    struct share *share = user_data;
    struct connection *connection;

    if (!was_written(share, error)) {
        return;
    }
    STOPPING_POINT("create.activated");
    share->state = SHARE_ACTIVE;
    turns_go_on(share->broker);
    share_log(LOG_LEVEL_INFO, "share.active", &share->row,
              "%u images, %u clients, %u protocols, for %llu s", share->row.n_images,
              share->row.n_clients, share->row.n_protocols,
              (unsigned long long)share_remaining(share));
    while ((connection = share_next_waiter(share, WAIT_CREATE, NULL)) != NULL) {
        answer_share(connection, share);
        if (connection_peer(connection)->role == PEER_WEB) {
            session_answer(share, connection); /* without one, its user comes in as others do */
        }
        connection_done(connection, 0, "%s", "");
    }
    STOPPING_POINT("create.answered");
}

void share_prepared(struct share *share)
{
    struct firewall_service services[FIREWALL_SERVICES_MAX];
    struct firewall_share rules;
    char sentence[SHARE_SENTENCE_SIZE];

    if (share->state != SHARE_PREPARING) {
        return;
    }
    if (share->pidfd < 0) {
        share_preparing_failed(share, "", SANDBOX_ENDED);
        return;
    }
    share_progress(share, PREPARE_STEPS, PREPARE_STEPS, "opening the firewall");
    STOPPING_POINT("create.prepared");
    share_refuse_strangers(share->broker);
    share_firewall(share, services, &rules);
    int r = firewall_share_add(share->broker->firewall, &rules);
    if (r < 0) {
        snprintf(sentence, sizeof sentence,
                 "The firewall refused the share's rules (%s); nothing was shared.", strerror(-r));
        share_preparing_failed(share, "", sentence);
        return;
    }
    STOPPING_POINT("create.firewall_added");
    share->firewall_up = true;
    share->row.active = true;
    r = share_set_timer(share);
    if (r == 0) {
        share->writes++;
        r = registry_activate(share->broker->registry, &share->row, activated, share);
        share->writes -= r < 0;
    }
    if (r < 0) {
        share_preparing_failed(share, "", "The broker is out of memory; nothing was shared.");
    }
}

static void recorded(int error, void *user_data)
{
    struct share *share = user_data;

    if (!was_written(share, error)) {
        return;
    }
    STOPPING_POINT("create.recorded");
    int r = share_prepare(share);
    STOPPING_POINT("create.worker_started");
    if (r < 0) {
        share_preparing_failed(share, "",
                               "The broker could not start a process; nothing was "
                               "shared.");
    }
}

static bool is_used(const struct broker *broker, uint32_t mark, uint32_t uid_first)
{
    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        if (share->row.mark == mark || share->row.uid_first == uid_first) {
            return true;
        }
    }
    return false;
}

/* A fresh id, mark and uid block. There are at least as many blocks as shares may live, and without
 * a limit of shares they may run out. */
static int number_share(struct broker *broker, struct registry_share *row)
{
    unsigned char random[8];

    if (broker->n_shares >= settings_uid_blocks(&broker->settings)) {
        return -EUSERS;
    }
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return -EIO;
    }
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(row->id + 2 * i, 3, "%02x", random[i]);
    }
    /* Both counters go round: a number that a long-lived share still has is passed over. */
    do {
        row->mark = broker->settings.mark_prefix << 24 | registry_next_mark(broker->registry);
    } while (is_used(broker, row->mark, 0));
    do {
        uint32_t block =
            registry_next_block(broker->registry) % settings_uid_blocks(&broker->settings);
        row->uid_first = broker->settings.uid_first + block * broker->settings.uid_per_share;
    } while (is_used(broker, 0, row->uid_first));
    return 0;
}

int share_create(struct broker *broker, struct registry_share *row, struct connection *connection)
{
    int r = number_share(broker, row);
    struct share *share = r < 0 ? NULL : share_new(broker, row);

    if (share == NULL) {
        return r < 0 ? r : -ENOMEM;
    }
    r = share_wait(share, connection, WAIT_CREATE);
    if (r < 0) {
        share_free(share); /* nobody waits for it, and nothing was done */
        return r;
    }
    STOPPING_POINT("create.begun");
    share->writes++;
    r = registry_record(broker->registry, &share->row, recorded, share);
    if (r < 0) {
        share->writes--;
        share_preparing_failed(share, "", "The broker is out of memory; nothing was shared.");
    }
    return 0;
}
