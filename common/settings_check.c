/* A table of checks, each short; the first that fails ends it. */
#include "settings_check.h"

#include "cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool holds(struct settings_range range, uint32_t port)
{
    return port >= range.first && port <= range.last;
}

static int check_ranges(const struct settings *settings, char *why, size_t why_size)
{
    if (settings->passive.first <= settings->ports.last &&
        settings->ports.first <= settings->passive.last) {
        snprintf(why, why_size, "[network] passive: these ports overlap those of [network] ports");
        return -EINVAL;
    }
    return 0;
}

static int check_public_ports(const struct settings *settings, char *why, size_t why_size)
{
    for (uint32_t i = 0; i < settings->n_public_ports; i++) {
        const struct settings_port *public = &settings->public_ports[i];
        bool in_ports = holds(settings->ports, public->port);
        if (in_ports || holds(settings->passive, public->port)) {
            snprintf(why, why_size, "[ports] %s: %u lies in [network] %s", public->protocol.text,
                     (unsigned)public->port, in_ports ? "ports" : "passive");
            return -EINVAL;
        }
    }
    return 0;
}

static int check_lifetimes(const struct settings *settings, char *why, size_t why_size)
{
    const struct {
        const char *name;
        uint64_t seconds;
    } limits[] = {{"max_lifetime", settings->max_lifetime},
                  {"admin_max_lifetime", settings->admin_max_lifetime}};
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        if (limits[i].seconds != 0 && settings->lifetime > limits[i].seconds) {
            snprintf(why, why_size, "[policy] lifetime: is longer than [policy] %s",
                     limits[i].name);
            return -EINVAL;
        }
    }
    return 0;
}

/* (uid_t)-1 means "leave it" to chown(2), (uid_t)-2 is somebody's nobody. */
static int check_uids(const struct settings *settings, char *why, size_t why_size)
{
    uint64_t last = /* settings_verify_uid() */
        settings->uid_first + (uint64_t)settings_uid_blocks(settings) * settings->uid_per_share;
    if (last > UINT32_MAX - 2) {
        snprintf(
            why, why_size,
            "[uids] first: %u blocks of %u uids and one more would end at %llu, above the last "
            "uid",
            settings_uid_blocks(settings), settings->uid_per_share, (unsigned long long)last);
        return -EINVAL;
    }
    return 0;
}

/* By their spelling only: the broker looks at the directories themselves when it starts. */
static bool is_inside(const char *inner, const char *outer)
{
    size_t length = strlen(outer);
    while (length > 0 && outer[length - 1] == '/') {
        length--;
    }
    return strncmp(inner, outer, length) == 0 && (inner[length] == '/' || inner[length] == '\0');
}

static int check_directories(const struct settings *settings, char *why, size_t why_size)
{
    if (is_inside(settings->shares, settings->images) ||
        is_inside(settings->images, settings->shares)) {
        snprintf(why, why_size,
                 "[repository] shares: must lie beside [repository] images, neither "
                 "in the other");
        return -EINVAL;
    }
    return 0;
}

int settings_check(const struct settings *settings, char *why, size_t why_size)
{
    static int (*const checks[])(const struct settings *, char *, size_t) = {
        check_ranges, check_public_ports, check_lifetimes, check_uids, check_directories};
    int result = 0;
    for (size_t i = 0; i < ARRAY_SIZE(checks) && result == 0; i++) {
        result = checks[i](settings, why, why_size);
    }
    return result;
}
