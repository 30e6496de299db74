/*
 * A request to create or to add, in the order in which people would look at it: the user, how many
 * shares there may be (policy_limits.c), images, clients (policy_clients.c), protocols, lifetime.
 */
#include "policy.h"

#include "cleanup.h"
#include "policy_parts.h"
#include "prepare.h"
#include "share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* -- the user -- */

static int check_user(struct broker *broker, const char *given, struct registry_share *row,
                      struct refusal *refusal)
{
    const char *why = NULL;

    if (parse_user(given, strlen(given), &row->user, &why) < 0) {
        return policy_refuse(refusal, "user", "The user name \"%s\" %s.", policy_show(given).text,
                             why);
    }
    const struct share *other = share_find(broker, row->user.text);
    if (other != NULL && other->state == SHARE_ENDING) {
        return policy_refuse(refusal, "user",
                             "The share of %s is just ending; try again in a moment.",
                             row->user.text);
    }
    if (other != NULL) {
        return policy_refuse(refusal, "user",
                             "%s has a share already; remove it first, or add images to it.",
                             row->user.text);
    }
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
        return policy_refuse(refusal, "image", "No image was named.");
    }
    if (given->count + already > limit) {
        return policy_refuse(refusal, "image",
                             "%zu images are more than the limit of %u (max_images).",
                             given->count + already, limit);
    }
    for (size_t i = 0; i < given->count; i++) {
        const char *why = NULL;
        if (parse_image_path(given->items[i], strlen(given->items[i]), &paths[i], &why) < 0) {
            return policy_refuse(refusal, "image", "The image path \"%s\" %s.",
                                 policy_show(given->items[i]).text, why);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(paths[i].text, paths[j].text) == 0) {
                return policy_refuse(refusal, "image", "The image \"%s\" is named twice.",
                                     policy_show(paths[i].text).text);
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
                r = policy_refuse(ret_refusal, "image", "The image \"%s\" is in the share already.",
                                  policy_show(paths[i].text).text);
            }
        }
    }
    return r;
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
               : policy_refuse(
                     refusal, "protocol",
                     "These protocols have %u ports, more than the limit of %u for a share.", n,
                     FIREWALL_SERVICES_MAX);
}

static int unknown_protocol(const struct broker *broker, const char *given, struct refusal *refusal)
{
    char names[200] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < broker->definitions->count && used < sizeof names; i++) {
        const char *name = broker->definitions->items[i].name.text;
        if (settings_has_word(&broker->settings.protocols, name)) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                     used > 0 ? ", " : "", name);
        }
    }
    return policy_refuse(refusal, "protocol",
                         "There is no protocol \"%s\" on offer here (protocols); there are: %s.",
                         policy_show(given).text, names);
}

static int check_protocol(const struct broker *broker, const char *given,
                          const struct registry_share *row, struct registry_protocol *ret,
                          struct refusal *refusal)
{
    const struct definition *definition = definitions_find(broker->definitions, given);

    if (definition == NULL || !settings_has_word(&broker->settings.protocols, given)) {
        return unknown_protocol(broker, given, refusal);
    }
    for (uint32_t i = 0; i < row->n_protocols; i++) {
        const char *before = row->protocols[i].name.text;
        if (strcmp(before, given) == 0) {
            return policy_refuse(refusal, "protocol", "The protocol %s is named twice.", given);
        }
        if (same_port(broker, definition, definitions_find(broker->definitions, before))) {
            return policy_refuse(refusal, "protocol", "The protocols %s and %s use the same port.",
                                 before, given);
        }
    }
    ret->name = definition->name;
    return 0;
}

static int check_protocols(const struct broker *broker, const struct texts *given,
                           struct registry_share *row, struct refusal *refusal)
{
    if (given->count == 0) {
        return policy_refuse(refusal, "protocol", "No protocol was named.");
    }
    if (given->count > PREPARE_PROTOCOLS_MAX) {
        return policy_refuse(refusal, "protocol", "%zu protocols are more than the limit of %u.",
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
                        const struct policy_asker *asker, struct registry_share *row,
                        struct refusal *refusal)
{
    uint64_t seconds = 0;

    row->local = (request->flags & SHARE_ALLOW_LOCAL) != 0;
    row->web = asker->user;
    row->address = asker->address;
    int r = check_user(broker, request->user, row, refusal);
    r = r < 0 ? r : policy_check_counts(broker, asker, refusal);
    r = r < 0 ? r : check_images(broker, &request->images, row, refusal);
    r = r < 0 ? r : policy_check_clients(broker, &request->clients, asker, row, refusal);
    r = r < 0 ? r : check_protocols(broker, &request->protocols, row, refusal);
    r = r < 0 ? r : policy_lifetime(broker, NULL, asker->user, request->seconds, &seconds, refusal);
    row->created = (uint64_t)time(NULL);
    row->ends = row->created + seconds;
    row->born_ns = loop_now();
    row->deadline_ns = row->born_ns + seconds * 1000000000u;
    return r;
}

int policy_create(struct broker *broker, const struct message_share_create *request,
                  const struct policy_asker *asker, struct registry_share *ret_row,
                  struct refusal *ret_refusal)
{
    struct registry_share row = {0};

    int r = check_create(broker, request, asker, &row, ret_refusal);
    if (r < 0) {
        share_free_row(&row);
        return r;
    }
    *ret_row = row;
    return 0;
}
