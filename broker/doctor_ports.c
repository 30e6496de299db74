/* Who holds which port: proc_net_tcp of the kernel's documentation, and the definitions. */
#include "cleanup.h"
#include "doctor_checks.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* True when one number of "first-last,number,..." is in the range. */
static bool list_covers(const char *list, struct settings_range range)
{
    unsigned covered = 0;
    for (const char *item = list; *item != '\0';) {
        char *end;
        unsigned long first = strtoul(item, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        unsigned long low = first > range.first ? first : range.first;
        unsigned long high = last < range.last ? last : range.last;
        covered += end != item && low <= high ? (unsigned)(high - low + 1) : 0;
        item = *end == ',' ? end + 1 : "";
    }
    return covered > (unsigned)(range.last - range.first);
}

static bool overlaps(struct settings_range range, unsigned first, unsigned last)
{
    return range.first <= last && first <= range.last;
}

enum doctor_result doctor_check_pools(const struct doctor *doctor, struct text *says)
{
    const struct settings_range pools[] = {doctor->settings->ports, doctor->settings->passive};
    CLEANUP_FREE char *local = doctor_read(doctor, "/proc/sys/net/ipv4/ip_local_port_range");
    CLEANUP_FREE char *reserved = doctor_read(doctor, "/proc/sys/net/ipv4/ip_local_reserved_ports");
    unsigned first, last;
    if (local == NULL || sscanf(local, "%u %u", &first, &last) != 2) {
        return doctor_say(says, DOCTOR_NOTE,
                          "which ports this host takes for its own connections cannot be read");
    }
    for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
        if (overlaps(pools[i], first, last) &&
            (reserved == NULL || !list_covers(reserved, pools[i]))) {
            return doctor_say(says, DOCTOR_WARN,
                              "this host's own connections take ports %u-%u, and [network] gives "
                              "%u-%u to shares; add the latter to "
                              "net.ipv4.ip_local_reserved_ports, or choose others",
                              first, last, pools[i].first, pools[i].last);
        }
    }
    return doctor_say(says, DOCTOR_OK,
                      "no port of ours is among %u-%u, which this host's own "
                      "connections take",
                      first, last);
}

/* Which state a socket that serves has, as /proc/net/tcp and udp write it. */
struct port_search {
    unsigned port, state;
    bool found;
};

#define STATE_LISTEN 0x0A
#define STATE_BOUND  0x07

/* "  0: 00000000:0045 00000000:0000 07 ..." */
static bool visit_socket(char *line, void *user_data)
{
    struct port_search *search = user_data;
    unsigned port, state;
    if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) == 2 &&
        port == search->port && state == search->state) {
        search->found = true;
    }
    return search->found;
}

static bool is_served(const struct doctor *doctor, uint8_t transport, uint16_t port)
{
    static const char *const files[2][2] = {{"/proc/net/tcp", "/proc/net/tcp6"},
                                            {"/proc/net/udp", "/proc/net/udp6"}};
    bool udp = transport == IPPROTO_UDP;
    struct port_search search = {port, udp ? STATE_BOUND : STATE_LISTEN, false};
    for (size_t i = 0; i < 2 && !search.found; i++) {
        CLEANUP_FREE char *sockets = doctor_read(doctor, files[udp][i]);
        if (sockets != NULL) {
            doctor_each_line(sockets, visit_socket, &search);
        }
    }
    return search.found;
}

/* The site's port ([ports] names it for a protocol's first), otherwise the standard one. */
static uint16_t public_port(const struct settings *settings, const struct definition *definition,
                            uint32_t n)
{
    for (uint32_t i = 0; i < settings->n_public_ports && n == 0; i++) {
        if (strcmp(settings->public_ports[i].protocol.text, definition->name.text) == 0) {
            return settings->public_ports[i].port;
        }
    }
    return definition->ports[n].port;
}

static void add_served(const struct doctor *doctor, const struct definition *definition,
                       struct text *list, unsigned *count)
{
    for (uint32_t i = 0; i < definition->n_ports; i++) {
        uint8_t transport = definition->ports[i].transport;
        uint16_t number = public_port(doctor->settings, definition, i);
        char piece[64];
        snprintf(piece, sizeof piece, "%s/%u (%s)", transport == IPPROTO_UDP ? "udp" : "tcp",
                 number, definition->title);
        if (is_served(doctor, transport, number)) {
            doctor_add_piece(list, count, piece);
        }
    }
}

enum doctor_result doctor_check_public_ports(const struct doctor *doctor, struct text *says)
{
    CLEANUP_TEXT struct text list = {0};
    unsigned count = 0;
    if (doctor->definitions == NULL) {
        return doctor_say(says, DOCTOR_NOTE, "not looked at without the protocols' definitions");
    }
    for (uint32_t i = 0; i < doctor->definitions->count; i++) {
        add_served(doctor, &doctor->definitions->items[i], &list, &count);
    }
    if (count == 0) {
        return doctor_say(says, DOCTOR_OK, "no service of this host is on a protocol's port");
    }
    return doctor_say(says, DOCTOR_NOTE,
                      "a service of this host is on %s: clients of a share reach their share there "
                      "while it lives, everybody else goes on reaching the service",
                      list.data);
}
