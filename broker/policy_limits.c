/* How many shares, and how long they may live. */
#include "cleanup.h"
#include "policy_parts.h"
#include "share.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000u

/* -- how many -- */

/* What users may have of a limit: a quarter is left, so that administrators always get in. */
static uint32_t part_of_users(uint32_t limit)
{
    uint32_t part = limit - (limit + 3) / 4;

    return part > 0 ? part : 1;
}

static uint32_t count(const struct broker *broker, bool of_users, bool preparing)
{
    uint32_t n = 0;

    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        n += (!of_users || share->row.web) && (!preparing || share->state == SHARE_PREPARING);
    }
    return n;
}

/* One limit (0: none), for everybody and for users. */
static int check_count(const struct broker *broker, bool user, bool preparing, uint32_t limit,
                       const char *setting, struct refusal *refusal)
{
    const char *which = preparing ? " being prepared" : "";
    const char *hint = preparing ? "; try again in a moment" : "";
    uint32_t all = count(broker, false, preparing);
    uint32_t of_users = count(broker, true, preparing);

    if (limit != 0 && all >= limit) {
        refusal->later = preparing;
        return policy_refuse(refusal, "", "There are %u shares%s, the limit of this site (%s)%s.",
                             all, which, setting, hint);
    }
    if (limit != 0 && user && of_users >= part_of_users(limit)) {
        return policy_refuse(refusal, "",
                             "Users have %u shares%s, all that this site's limit of %u leaves to "
                             "them (%s)%s.",
                             of_users, which, limit, setting, hint);
    }
    return 0;
}

/* An IPv6 network of 64 bits is one household: whoever has an address in it has them all. */
static bool same_requester(const struct address *a, const struct address *b)
{
    struct prefix network = {.address = *a, .length = a->family == AF_INET ? 32 : 64};
    struct prefix host = {.address = *b, .length = (uint8_t)(8 * address_size(b))};

    return prefix_contains(&network, &host);
}

static int check_requester(const struct broker *broker, const struct address *address,
                           struct refusal *refusal)
{
    uint32_t limit = broker->settings.max_per_requester;
    uint32_t n = 0;

    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        n += share->row.web && share->state != SHARE_ENDING &&
             same_requester(address, &share->row.address);
    }
    if (limit == 0 || n < limit) {
        return 0;
    }
    return policy_refuse(refusal, "requester",
                         "%s has asked for %u shares that are alive%s; %u are the limit of this "
                         "site (max_per_requester).",
                         policy_show_address(address).text, n,
                         address->family == AF_INET6 ? ", its /64 taken together" : "", limit);
}

int policy_check_counts(const struct broker *broker, const struct policy_asker *asker,
                        struct refusal *refusal)
{
    const struct settings *settings = &broker->settings;

    int r = check_count(broker, asker->user, false, settings->max_shares, "max_shares", refusal);
    r = r < 0 ? r
              : check_count(broker, asker->user, true, settings->max_preparing, "max_preparing",
                            refusal);
    return r < 0 || !asker->user ? r : check_requester(broker, &asker->address, refusal);
}

/* -- how long -- */

static const struct {
    const char *setting, *whose;
} lifetimes[] = {{"admin_max_lifetime", "this site's limit for administrators"},
                 {"max_lifetime", "this site's limit"}};

int policy_lifetime(const struct broker *broker, const struct share *share, bool user,
                    uint64_t wanted, uint64_t *ret_seconds, struct refusal *ret_refusal)
{
    const struct settings *settings = &broker->settings;
    uint64_t seconds = wanted != 0 ? wanted : settings->lifetime;
    uint64_t limit = user ? settings->max_lifetime : settings->admin_max_lifetime;
    uint64_t lived = share != NULL ? (loop_now() - share->row.born_ns) / NS_PER_S : 0;

    if (limit != 0 && seconds > limit) {
        return policy_refuse(ret_refusal, "lifetime", "%s is longer than %s, %s (%s).",
                             policy_show_duration(seconds).text, lifetimes[user].whose,
                             policy_show_duration(limit).text, lifetimes[user].setting);
    }
    if (limit != 0 && seconds > (limit > lived ? limit - lived : 0)) {
        return policy_refuse(ret_refusal, "lifetime",
                             "The share has lived for %s, and %s more would be longer than %s, %s "
                             "in all (%s).",
                             policy_show_duration(lived).text, policy_show_duration(seconds).text,
                             lifetimes[user].whose, policy_show_duration(limit).text,
                             lifetimes[user].setting);
    }
    *ret_seconds = seconds;
    return 0;
}
