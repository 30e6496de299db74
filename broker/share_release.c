/*
 * One client leaves a live share: whoever speaks from an address may have it back from the share
 * of a user. The others do not notice; a share without clients ends.
 */
#include "share.h"

#include "cleanup.h"
#include "share_log.h"
#include "share_steps.h"

#include <errno.h>
#include <string.h>

struct release {
    struct share *share;
    struct connection *connection; /* NULL when it has hung up */
    struct prefix client;
};

static void released(int error, void *user_data)
{
    CLEANUP_FREE struct release *release = user_data;
    struct share *share = release->share;
    char client[PREFIX_TEXT_SIZE];

    prefix_format(&release->client, client);
    share->writes--;
    if (release->connection != NULL && error < 0 && share->state != SHARE_ENDING) {
        connection_refuse(release->connection, "",
                          "%s was released, but the registry cannot be written; see the broker's "
                          "log.",
                          client);
    } else if (release->connection != NULL) {
        connection_done(release->connection, 0, "%s was released.", client);
    }
    if (share->state == SHARE_ENDING) {
        share_continue_end(share);
    } else {
        share_settled(share->broker);
    }
}

static void release_abandoned(struct connection *connection, void *user_data)
{
    struct release *release = user_data;

    (void)connection;
    release->connection = NULL;
}

static void forget_client(struct registry_share *row, const struct prefix *client)
{
    for (uint32_t i = row->n_clients; i-- > 0;) {
        if (row->clients[i].length == client->length && prefix_contains(&row->clients[i], client)) {
            row->n_clients--;
            memmove(&row->clients[i], &row->clients[i + 1],
                    (row->n_clients - i) * sizeof row->clients[0]);
        }
    }
}

/* The firewall's first step decides; that a connection could not be reset is only worth a line. */
static int shut_out(struct share *share, const struct prefix *client)
{
    struct firewall_service services[FIREWALL_SERVICES_MAX];
    struct firewall_share rules;

    share_firewall(share, services, &rules);
    int r = firewall_share_release(share->broker->firewall, &rules, client);
    if (r == -EOPNOTSUPP) {
        share_log(LOG_LEVEL_WARN, "share.released", &share->row, "resetting connections: %s",
                  strerror(-r));
        return 0;
    }
    return r;
}

int share_release(struct share *share, const struct prefix *client, struct connection *connection)
{
    CLEANUP_FREE struct release *release = malloc(sizeof *release);

    if (release == NULL) {
        return -ENOMEM;
    }
    *release = (struct release){.share = share, .connection = connection, .client = *client};
    int r = shut_out(share, client);
    if (r < 0) {
        return r;
    }
    share->writes++;
    r = registry_release(share->broker->registry, share->row.id, client, released, release);
    if (r < 0) {
        share->writes--;
        return r;
    }
    connection_later(connection, release_abandoned, release);
    TAKE_PTR(release);
    forget_client(&share->row, client);
    return 0;
}
