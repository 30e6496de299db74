#include "policy.h"

#include "cleanup.h"
#include "prepare.h"
#include "share.h"
#include "text.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int refuse(struct refusal *refusal, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct refusal *refusal, const char *field, const char *format, ...)
{
    va_list arguments;

    snprintf(refusal->field, sizeof refusal->field, "%s", field);
    va_start(arguments, format);
    vsnprintf(refusal->sentence, sizeof refusal->sentence, format, arguments);
    va_end(arguments);
    return -EPERM;
}

/* The value as given, printable and short enough for a sentence. */
struct shown {
    char text[200];
};

static struct shown show(const char *value)
{
    CLEANUP_TEXT struct text printable = {0};
    struct shown shown;

    text_add_printable(&printable, value, strlen(value));
    bool fits = printable.length < sizeof shown.text;
    snprintf(shown.text, sizeof shown.text, "%.*s%s", fits ? (int)printable.length : 190,
             printable.data != NULL ? printable.data : "", fits ? "" : "...");
    return shown;
}

/* -- the share itself -- */

static int check_user(struct broker *broker, const char *given, struct registry_share *row,
                      struct refusal *refusal)
{
    const char *why = NULL;

    if (parse_user(given, strlen(given), &row->user, &why) < 0) {
        return refuse(refusal, "user", "The user name \"%s\" %s.", show(given).text, why);
    }
    const struct share *other = share_find(broker, row->user.text);
    if (other != NULL && other->state == SHARE_ENDING) {
        return refuse(refusal, "user", "The share of %s is just ending; try again in a moment.",
                      row->user.text);
    }
    if (other != NULL) {
        return refuse(refusal, "user",
                      "%s has a share already; remove it first, or add images to it.",
                      row->user.text);
    }
    return 0;
}

static int check_counts(const struct broker *broker, struct refusal *refusal)
{
    const struct settings *settings = &broker->settings;

    if (settings->max_shares != 0 && broker->n_shares >= settings->max_shares) {
        return refuse(refusal, "", "There are %u shares, the limit of this site (max_shares).",
                      broker->n_shares);
    }
    unsigned preparing = share_count(broker, SHARE_PREPARING);
    if (settings->max_preparing != 0 && preparing >= settings->max_preparing) {
        return refuse(refusal, "",
                      "%u shares are being prepared, the limit of this site (max_preparing); try "
                      "again in a moment.",
                      preparing);
    }
    return 0;
}

/* "23h 59m" */
static struct shown show_duration(uint64_t seconds)
{
    CLEANUP_TEXT struct text duration = {0};
    struct shown shown;

    text_add_duration(&duration, seconds);
    snprintf(shown.text, sizeof shown.text, "%s", duration.data != NULL ? duration.data : "");
    return shown;
}

/* How long the share has lived. Of its creation a row has the wall time alone; what has passed
 * since it was last extended is told by the clock of its deadline, which nobody sets. */
static uint64_t age(const struct share *share)
{
    const struct registry_share *row = &share->row;
    uint64_t lifetime = row->ends > row->created ? row->ends - row->created : 0;
    uint64_t left = share_remaining(share);

    return lifetime > left ? lifetime - left : 0;
}

int policy_lifetime(const struct broker *broker, const struct share *share, uint64_t wanted,
                    uint64_t *ret_seconds, struct refusal *ret_refusal)
{
    uint64_t seconds = wanted != 0 ? wanted : broker->settings.lifetime;
    uint64_t limit = broker->settings.admin_max_lifetime;
    uint64_t lived = share != NULL ? age(share) : 0;

    if (limit != 0 && seconds > limit) {
        return refuse(ret_refusal, "lifetime",
                      "%s is longer than this site's limit for administrators, %s "
                      "(admin_max_lifetime).",
                      show_duration(seconds).text, show_duration(limit).text);
    }
    if (limit != 0 && seconds > (limit > lived ? limit - lived : 0)) {
        return refuse(ret_refusal, "lifetime",
                      "The share has lived for %s, and %s more would be longer than this site's "
                      "limit for administrators, %s in all (admin_max_lifetime).",
                      show_duration(lived).text, show_duration(seconds).text,
                      show_duration(limit).text);
    }
    *ret_seconds = seconds;
    return 0;
}

/* -- images -- */

static int check_paths(const struct broker *broker, const struct texts *given, uint32_t already,
                       struct image_path *paths, struct refusal *refusal)
{
    uint32_t limit = broker->settings.max_images;

    if (limit == 0 || limit > MESSAGE_IMAGES_MAX) {
        limit = MESSAGE_IMAGES_MAX;
    }
    if (given->count == 0) {
        return refuse(refusal, "image", "No image was named.");
    }
    if (given->count + already > limit) {
        return refuse(refusal, "image", "%zu images are more than the limit of %u (max_images).",
                      given->count + already, limit);
    }
    for (size_t i = 0; i < given->count; i++) {
        const char *why = NULL;
        if (parse_image_path(given->items[i], strlen(given->items[i]), &paths[i], &why) < 0) {
            return refuse(refusal, "image", "The image path \"%s\" %s.", show(given->items[i]).text,
                          why);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(paths[i].text, paths[j].text) == 0) {
                return refuse(refusal, "image", "The image \"%s\" is named twice.",
                              show(paths[i].text).text);
            }
        }
    }
    return 0;
}

static int check_images(const struct broker *broker, const struct texts *given,
                        struct registry_share *row, struct refusal *refusal)
{
    CLEANUP_FREE struct image_path *paths = calloc(MESSAGE_IMAGES_MAX, sizeof *paths);

    if (paths == NULL) {
        return -ENOMEM;
    }
    int r = check_paths(broker, given, 0, paths, refusal);
    if (r < 0) {
        return r;
    }
    row->images = calloc(given->count, sizeof *row->images);
    if (row->images == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < given->count; i++) {
        row->images[i].path = paths[i];
    }
    row->n_images = (uint32_t)given->count;
    return 0;
}

int policy_add(const struct share *share, const struct texts *images, struct image_path *paths,
               struct refusal *ret_refusal)
{
    int r = check_paths(share->broker, images, share->row.n_images, paths, ret_refusal);

    for (size_t i = 0; r == 0 && i < images->count; i++) {
        for (uint32_t j = 0; r == 0 && j < share->row.n_images; j++) {
            if (strcmp(paths[i].text, share->row.images[j].path.text) == 0) {
                r = refuse(ret_refusal, "image", "The image \"%s\" is in the share already.",
                           show(paths[i].text).text);
            }
        }
    }
    return r;
}

/* -- clients -- */

static bool is_among(const struct ifaddrs *all, const struct prefix *host)
{
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        struct prefix own = {0};
        uint16_t port;
        if (one->ifa_addr == NULL ||
            address_from_sockaddr(one->ifa_addr, &own.address, &port) < 0) {
            continue;
        }
        own.length = (uint8_t)(8 * address_size(&own.address));
        if (prefix_contains(host, &own)) {
            return true;
        }
    }
    return false;
}

/* The host's own addresses, asked from the kernel at this moment, and once for all clients. A
 * network may hold one: the firewall keeps the host itself out of it. */
static int check_own(const struct registry_share *row, struct refusal *refusal)
{
    char own[PREFIX_TEXT_SIZE];
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
            prefix_format(&row->clients[i], own);
            r = refuse(refusal, "client",
                       "The client %s is an address of this host itself; --allow-local serves it.",
                       own);
        }
    }
    freeifaddrs(all);
    return r;
}

/*
 * A host address may lie in another share's network: the most specific wins. Two networks, or the
 * same address twice, would leave open whose it is.
 */
static bool collide(const struct prefix *a, const struct prefix *b)
{
    return prefix_is_host(a) == prefix_is_host(b) && prefix_overlaps(a, b);
}

static int check_others(const struct broker *broker, const struct prefix *client,
                        struct refusal *refusal)
{
    char mine[PREFIX_TEXT_SIZE];
    char its[PREFIX_TEXT_SIZE];

    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        for (uint32_t i = 0; share->state != SHARE_ENDING && i < share->row.n_clients; i++) {
            if (collide(client, &share->row.clients[i])) {
                prefix_format(client, mine);
                prefix_format(&share->row.clients[i], its);
                return refuse(refusal, "client",
                              "The client %s overlaps with %s of the share of %s.", mine, its,
                              share->row.user.text);
            }
        }
    }
    return 0;
}

static int check_client(const struct broker *broker, const char *given, const struct prefix *before,
                        size_t n_before, struct prefix *ret, struct refusal *refusal)
{
    const char *why = NULL;

    if (parse_client(given, strlen(given), ret, &why) < 0) {
        return refuse(refusal, "client", "The client \"%s\" %s.", show(given).text, why);
    }
    for (size_t i = 0; i < n_before; i++) {
        if (prefix_overlaps(ret, &before[i])) {
            return refuse(refusal, "client", "The client %s is named twice, or inside another.",
                          show(given).text);
        }
    }
    return check_others(broker, ret, refusal);
}

static int check_clients(const struct broker *broker, const struct texts *given,
                         struct registry_share *row, struct refusal *refusal)
{
    uint32_t limit = broker->settings.max_clients;

    if (given->count == 0) {
        return refuse(refusal, "client", "No client address was named.");
    }
    if (limit != 0 && given->count > limit) {
        return refuse(refusal, "client", "%zu clients are more than the limit of %u (max_clients).",
                      given->count, limit);
    }
    row->clients = calloc(given->count, sizeof *row->clients);
    if (row->clients == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < given->count; i++) {
        int r = check_client(broker, given->items[i], row->clients, i, &row->clients[i], refusal);
        if (r < 0) {
            return r;
        }
        row->n_clients++;
    }
    return check_own(row, refusal);
}

/* -- protocols -- */

static bool same_port(const struct broker *broker, const struct definition *a,
                      const struct definition *b)
{
    for (uint32_t i = 0; i < a->n_ports; i++) {
        for (uint32_t j = 0; j < b->n_ports; j++) {
            if (a->ports[i].transport == b->ports[j].transport &&
                share_public_port(broker, a, i) == share_public_port(broker, b, j)) {
                return true;
            }
        }
    }
    return false;
}

/* The firewall takes so many redirects for a share, and would get no more. */
static int check_port_count(const struct broker *broker, const struct registry_share *row,
                            struct refusal *refusal)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < row->n_protocols; i++) {
        n += definitions_find(broker->definitions, row->protocols[i].name.text)->n_ports;
    }
    return n <= FIREWALL_SERVICES_MAX
               ? 0
               : refuse(refusal, "protocol",
                        "These protocols have %u ports, more than the limit of %u for a share.", n,
                        FIREWALL_SERVICES_MAX);
}

static int unknown_protocol(const struct broker *broker, const char *given, struct refusal *refusal)
{
    char names[200] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < broker->definitions->count && used < sizeof names; i++) {
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "",
                                 broker->definitions->items[i].name.text);
    }
    return refuse(refusal, "protocol", "There is no protocol \"%s\" here; there are: %s.",
                  show(given).text, names);
}

static int check_protocol(const struct broker *broker, const char *given,
                          const struct registry_share *row, struct registry_protocol *ret,
                          struct refusal *refusal)
{
    const struct definition *definition = definitions_find(broker->definitions, given);

    if (definition == NULL) {
        return unknown_protocol(broker, given, refusal);
    }
    for (uint32_t i = 0; i < row->n_protocols; i++) {
        const char *before = row->protocols[i].name.text;
        if (strcmp(before, given) == 0) {
            return refuse(refusal, "protocol", "The protocol %s is named twice.", given);
        }
        if (same_port(broker, definition, definitions_find(broker->definitions, before))) {
            return refuse(refusal, "protocol", "The protocols %s and %s use the same port.", before,
                          given);
        }
    }
    ret->name = definition->name;
    return 0;
}

static int check_protocols(const struct broker *broker, const struct texts *given,
                           struct registry_share *row, struct refusal *refusal)
{
    if (given->count == 0) {
        return refuse(refusal, "protocol", "No protocol was named.");
    }
    if (given->count > PREPARE_PROTOCOLS_MAX) {
        return refuse(refusal, "protocol", "%zu protocols are more than the limit of %u.",
                      given->count, PREPARE_PROTOCOLS_MAX);
    }
    row->protocols = calloc(given->count, sizeof *row->protocols);
    if (row->protocols == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < given->count; i++) {
        int r = check_protocol(broker, given->items[i], row, &row->protocols[row->n_protocols],
                               refusal);
        if (r < 0) {
            return r;
        }
        row->n_protocols++;
    }
    return check_port_count(broker, row, refusal);
}

/* -- all of it -- */

static int check_create(struct broker *broker, const struct message_share_create *request,
                        struct registry_share *row, struct refusal *refusal)
{
    uint64_t seconds = 0;

    row->local = (request->flags & SHARE_ALLOW_LOCAL) != 0;
    int r = check_user(broker, request->user, row, refusal);
    r = r < 0 ? r : check_counts(broker, refusal);
    r = r < 0 ? r : check_images(broker, &request->images, row, refusal);
    r = r < 0 ? r : check_clients(broker, &request->clients, row, refusal);
    r = r < 0 ? r : check_protocols(broker, &request->protocols, row, refusal);
    r = r < 0 ? r : policy_lifetime(broker, NULL, request->seconds, &seconds, refusal);
    row->created = (uint64_t)time(NULL);
    row->ends = row->created + seconds;
    row->deadline_ns = loop_now() + seconds * 1000000000u;
    return r;
}

int policy_create(struct broker *broker, const struct message_share_create *request,
                  struct registry_share *ret_row, struct refusal *ret_refusal)
{
    struct registry_share row = {0};

    int r = check_create(broker, request, &row, ret_refusal);
    if (r < 0) {
        share_free_row(&row);
        return r;
    }
    *ret_row = row;
    return 0;
}
