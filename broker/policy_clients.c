/*
 * Which addresses a share may be for. An address decides who gets what, so naming one is a
 * privilege: what no host can be is refused by the parser, the rest by what the site says, by what
 * this host itself is, and by what others have.
 */
#include "cleanup.h"
#include "policy_parts.h"
#include "share.h"

#include <errno.h>
#include <ifaddrs.h>
#include <string.h>

static struct prefix host_of(const struct address *address)
{
    return (struct prefix){.address = *address, .length = (uint8_t)(8 * address_size(address))};
}

static bool lies_in(const struct settings_prefixes *networks, const struct prefix *client)
{
    for (uint32_t i = 0; i < networks->count; i++) {
        if (prefix_contains(&networks->items[i], client)) {
            return true;
        }
    }
    return false;
}

/* -- who asks -- */

int policy_asker(const struct broker *broker, bool web, uint32_t flags, const char *requester,
                 struct policy_asker *ret, struct refusal *ret_refusal)
{
    bool user = web || (flags & SHARE_AS_USER) != 0;
    const char *why = NULL;
    struct prefix host;

    if (!user && requester[0] != '\0') {
        return policy_refuse(ret_refusal, "requester",
                             "An administrator asks for nobody else, but the request names %s; ask "
                             "as a user (--as-user).",
                             policy_show(requester).text);
    }
    if (!user) {
        *ret = (struct policy_asker){0};
        return 0;
    }
    if (requester[0] == '\0') {
        return policy_refuse(ret_refusal, "requester",
                             "The request does not say from which address the user asks.");
    }
    if (parse_client(requester, strlen(requester), &host, &why) < 0) {
        return policy_refuse(ret_refusal, "requester", "The requester's address \"%s\" %s.",
                             policy_show(requester).text, why);
    }
    if (!prefix_is_host(&host)) {
        return policy_refuse(ret_refusal, "requester",
                             "The requester %s is a network; a user asks from one address.",
                             policy_show_prefix(&host).text);
    }
    if (lies_in(&broker->settings.trusted_proxies, &host)) {
        return policy_refuse(ret_refusal, "requester",
                             "The requester %s is a proxy of this site (trusted_proxies), which "
                             "has not said for whom it asks.",
                             policy_show_prefix(&host).text);
    }
    *ret = (struct policy_asker){.user = true, .address = host.address};
    return 0;
}

/* -- what the site says -- */

static int check_networks(const struct broker *broker, const struct prefix *client,
                          struct refusal *refusal)
{
    const struct settings_prefixes *networks = &broker->settings.networks;

    if (networks->count == 0 || lies_in(networks, client)) {
        return 0;
    }
    return policy_refuse(refusal, "client",
                         "The client %s lies outside of this site's networks, %s (networks).",
                         policy_show_prefix(client).text, policy_show_prefixes(networks).text);
}

/* A whole network that holds a proxy may be meant; an administrator decides that. */
static int check_proxies(const struct broker *broker, const struct prefix *client, bool user,
                         struct refusal *refusal)
{
    const struct settings_prefixes *proxies = &broker->settings.trusted_proxies;

    for (uint32_t i = 0; i < proxies->count; i++) {
        if (user ? prefix_overlaps(&proxies->items[i], client)
                 : prefix_contains(&proxies->items[i], client)) {
            return policy_refuse(refusal, "client",
                                 "The client %s is or holds a proxy of this site, %s "
                                 "(trusted_proxies).",
                                 policy_show_prefix(client).text,
                                 policy_show_prefix(&proxies->items[i]).text);
        }
    }
    return 0;
}

static int check_claim(const struct broker *broker, const struct prefix *client,
                       const struct address *requester, struct refusal *refusal)
{
    const struct settings *settings = &broker->settings;
    uint32_t least =
        client->address.family == AF_INET ? settings->web_max_prefix4 : settings->web_max_prefix6;

    if (client->length < least) {
        return policy_refuse(refusal, "client",
                             "The network %s is larger than a /%u, the largest that users may name "
                             "here (web_max_prefix).",
                             policy_show_prefix(client).text, least);
    }
    if (lies_in(&settings->claim, client)) {
        return 0;
    }
    return policy_refuse(refusal, "client",
                         "The client %s is not your own address, %s, and lies outside of the "
                         "networks in which users may name others, %s (claim).",
                         policy_show_prefix(client).text, policy_show_address(requester).text,
                         policy_show_prefixes(&settings->claim).text);
}

/* -- what this host is -- */

static bool is_among(const struct ifaddrs *all, const struct prefix *host)
{
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        struct address own;
        uint16_t port;
        if (one->ifa_addr != NULL && address_from_sockaddr(one->ifa_addr, &own, &port) == 0 &&
            address_equal(&host->address, &own)) {
            return true;
        }
    }
    return false;
}

/* Asked from the kernel at this moment, and once for all clients. A network may hold an address of
 * the host: the firewall keeps the host itself out of it, and out of what it gets later. */
static int check_own(const struct registry_share *row, struct refusal *refusal)
{
    struct ifaddrs *all = NULL;
    int r = 0;

    if (row->local) {
        return 0;
    }
    if (getifaddrs(&all) < 0) {
        return -errno;
    }
    for (uint32_t i = 0; r == 0 && i < row->n_clients; i++) {
        if (prefix_is_host(&row->clients[i]) && is_among(all, &row->clients[i])) {
            r = policy_refuse(refusal, "client",
                              "The client %s is an address of this host itself%s.",
                              policy_show_prefix(&row->clients[i]).text,
                              row->web ? "" : "; --allow-local serves it");
        }
    }
    freeifaddrs(all);
    return r;
}

/* The firewall has one set of such addresses. */
static int check_local(const struct broker *broker, const struct registry_share *row,
                       struct refusal *refusal)
{
    if (!row->local) {
        return 0;
    }
    if (row->web) {
        return policy_refuse(
            refusal, "client",
            "Users may not have this host's own addresses served (--allow-local).");
    }
    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        if (share->row.local) {
            return policy_refuse(refusal, "client",
                                 "The share of %s serves this host itself already, and only one "
                                 "share can (--allow-local).",
                                 share->row.user.text);
        }
    }
    return 0;
}

/* -- what others have -- */

/*
 * An address may lie in another share's network: the most specific wins. So administrators may put
 * one into the other, and a user may have his own address out of somebody's network. Otherwise
 * whose it is would be open, or taken by whoever asks.
 */
static bool collide(const struct prefix *mine, const struct prefix *its, bool nested)
{
    bool same_kind = prefix_is_host(mine) == prefix_is_host(its);

    return prefix_overlaps(mine, its) && (same_kind || !nested);
}

static int refuse_overlap(const struct prefix *client, const struct prefix *its,
                          const struct share *share, const struct policy_asker *asker,
                          struct refusal *refusal)
{
    const struct prefix own = host_of(&asker->address);

    if (!asker->user) {
        return policy_refuse(
            refusal, "client", "The client %s overlaps with %s of the share of %s.",
            policy_show_prefix(client).text, policy_show_prefix(its).text, share->row.user.text);
    }
    /* Users do not hear whose it is. */
    if (prefix_contains(&own, client) && prefix_contains(&own, its)) {
        return policy_refuse(refusal, "client", "Your address %s is in a share already%s.",
                             policy_show_prefix(client).text,
                             share->row.web ? "; release it there first" : "");
    }
    return policy_refuse(refusal, "client",
                         "The client %s overlaps with the addresses of another share.",
                         policy_show_prefix(client).text);
}

static int check_others(const struct broker *broker, const struct prefix *client, bool nested,
                        const struct policy_asker *asker, struct refusal *refusal)
{
    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        for (uint32_t i = 0; share->state != SHARE_ENDING && i < share->row.n_clients; i++) {
            if (collide(client, &share->row.clients[i], nested)) {
                return refuse_overlap(client, &share->row.clients[i], share, asker, refusal);
            }
        }
    }
    return 0;
}

/* -- all of it -- */

static int check_client(const struct broker *broker, const struct prefix *client,
                        const struct policy_asker *asker, struct refusal *refusal)
{
    struct prefix own = host_of(&asker->address);
    bool is_own = asker->user && own.length == client->length && prefix_contains(&own, client);

    int r = check_networks(broker, client, refusal);
    r = r < 0 ? r : check_proxies(broker, client, asker->user, refusal);
    if (r == 0 && asker->user && !is_own) {
        r = check_claim(broker, client, &asker->address, refusal);
    }
    return r < 0 ? r : check_others(broker, client, !asker->user || is_own, asker, refusal);
}

/* Parses one that is like none before it. */
static int take_client(const char *given, const struct registry_share *row, struct prefix *ret,
                       struct refusal *refusal)
{
    const char *why = NULL;

    if (parse_client(given, strlen(given), ret, &why) < 0) {
        return policy_refuse(refusal, "client", "The client \"%s\" %s.", policy_show(given).text,
                             why);
    }
    for (uint32_t i = 0; i < row->n_clients; i++) {
        if (prefix_overlaps(ret, &row->clients[i])) {
            return policy_refuse(refusal, "client",
                                 "The client %s is named twice, or inside another.",
                                 policy_show(given).text);
        }
    }
    return 0;
}

int policy_check_clients(const struct broker *broker, const struct texts *given,
                         const struct policy_asker *asker, struct registry_share *row,
                         struct refusal *refusal)
{
    uint32_t limit = broker->settings.max_clients;

    if (given->count == 0) {
        return policy_refuse(refusal, "client", "No client address was named.");
    }
    if (limit != 0 && given->count > limit) {
        return policy_refuse(refusal, "client",
                             "%zu clients are more than the limit of %u (max_clients).",
                             given->count, limit);
    }
    row->clients = calloc(given->count, sizeof *row->clients);
    if (row->clients == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < given->count; i++) {
        int r = take_client(given->items[i], row, &row->clients[i], refusal);
        r = r < 0 ? r : check_client(broker, &row->clients[i], asker, refusal);
        if (r < 0) {
            return r;
        }
        row->n_clients++;
    }
    int r = check_local(broker, row, refusal);
    return r < 0 ? r : check_own(row, refusal);
}
