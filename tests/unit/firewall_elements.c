/* Keys and intervals of set elements: a wrong end of a network admits strangers. */
#include "elements.h"
#include "parse.h"
#include "table.h"
#include "test.h"

#include <arpa/inet.h>

static struct prefix prefix(const char *text)
{
    struct prefix prefix = {0};
    CHECK(parse_prefix(text, strlen(text), &prefix, NULL) == 0);
    return prefix;
}

static const char *text_of(const uint8_t *key, unsigned length)
{
    static char text[2][INET6_ADDRSTRLEN];
    static int turn;
    turn ^= 1;
    return inet_ntop(length == 4 ? AF_INET : AF_INET6, key, text[turn], sizeof text[turn]);
}

static void networks(void)
{
    static const struct {
        const char *client, *set, *start, *end; /* end NULL: the end of the address space */
    } rows[] = {
        {"10.0.0.0/24", MAP_NETWORKS4, "10.0.0.0", "10.0.1.0"},
        {"10.0.255.0/24", MAP_NETWORKS4, "10.0.255.0", "10.1.0.0"},
        {"10.0.0.0/8", MAP_NETWORKS4, "10.0.0.0", "11.0.0.0"},
        {"10.0.0.254/31", MAP_NETWORKS4, "10.0.0.254", "10.0.1.0"},
        {"128.0.0.0/2", MAP_NETWORKS4, "128.0.0.0", "192.0.0.0"},
        {"128.0.0.0/1", MAP_NETWORKS4, "128.0.0.0", NULL},
        {"255.255.255.254/31", MAP_NETWORKS4, "255.255.255.254", NULL},
        {"0.0.0.0/0", MAP_NETWORKS4, "0.0.0.0", NULL},
        {"fd00::/64", MAP_NETWORKS6, "fd00::", "fd00:0:0:1::"},
        {"fd00::/127", MAP_NETWORKS6, "fd00::", "fd00::2"},
        {"fd00::ffff:ffff:0:0/96", MAP_NETWORKS6, "fd00::ffff:ffff:0:0", "fd00:0:0:1::"},
        {"fdff:ffff:ffff:ffff::/64", MAP_NETWORKS6, "fdff:ffff:ffff:ffff::", "fe00::"},
        {"ff00::/8", MAP_NETWORKS6, "ff00::", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct prefix client = prefix(rows[i].client);
        struct element element = element_of_client(&client);
        CHECK_TEXT(element.set, rows[i].set);
        CHECK_TEXT(text_of(element.key, element.length), rows[i].start);
        CHECK(element.has_end == (rows[i].end != NULL));
        if (rows[i].end != NULL) {
            CHECK_TEXT(text_of(element.end, element.length), rows[i].end);
        }
        CHECK(element.redirects);
    }
}

static void hosts(void)
{
    static const struct {
        const char *client, *set;
        unsigned length;
    } rows[] = {{"10.0.0.1", MAP_HOSTS4, 4},
                {"255.255.255.255/32", MAP_HOSTS4, 4},
                {"fd00::1", MAP_HOSTS6, 16},
                {"fd00::ffff/128", MAP_HOSTS6, 16}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct prefix client = prefix(rows[i].client);
        struct element element = element_of_client(&client);
        CHECK_TEXT(element.set, rows[i].set);
        CHECK(element.length == rows[i].length && !element.has_end);
        CHECK(memcmp(element.key, client.address.bytes, element.length) == 0);
    }
}

static void host_bits_are_cleared(void)
{
    struct prefix client = {.address = {AF_INET, {10, 0, 0, 77}}, .length = 24};
    struct element element = element_of_client(&client);
    CHECK_TEXT(text_of(element.key, 4), "10.0.0.0");
    CHECK_TEXT(text_of(element.end, 4), "10.0.1.0");
    client.length = 27;
    element = element_of_client(&client);
    CHECK_TEXT(text_of(element.key, 4), "10.0.0.64");
    CHECK_TEXT(text_of(element.end, 4), "10.0.0.96");
}

static struct firewall_share share(void)
{
    static struct prefix clients[2];
    static const struct firewall_service services[] = {
        {IPPROTO_TCP, 8080, 21001, FIREWALL_HELPER_NONE, "nfs"},
        {IPPROTO_TCP, 2049, 21002, FIREWALL_HELPER_NONE, "nfs"},
        {IPPROTO_UDP, 2049, 21002, FIREWALL_HELPER_NONE, "nfs"},
        {IPPROTO_TCP, 111, 21002, FIREWALL_HELPER_NONE, "nfs"},
    };
    clients[0] = prefix("10.0.0.1");
    clients[1] = prefix("fd00::/64");
    return (struct firewall_share){.id = "1f",
                                   .mark = 0x5b000101,
                                   .uid_first = 2100000004,
                                   .uid_count = 3,
                                   .clients = clients,
                                   .n_clients = 2,
                                   .services = services,
                                   .n_services = 4,
                                   .timeout_ms = 5000};
}

static uint32_t count_in(const struct elements *elements, const char *set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < elements->count; i++) {
        count += strcmp(elements->items[i].set, set) == 0;
    }
    return count;
}

static const struct element *first_in(const struct elements *elements, const char *set)
{
    for (uint32_t i = 0; i < elements->count; i++) {
        if (strcmp(elements->items[i].set, set) == 0) {
            return &elements->items[i];
        }
    }
    return NULL;
}

static void all_elements(void)
{
    struct firewall_share one = share();
    CLEANUP_ELEMENTS struct elements elements = {0};
    CHECK(elements_of_share(&one, NULL,
                            ELEMENT_CLIENT | ELEMENT_LIVE | ELEMENT_PORT | ELEMENT_OWNER,
                            &elements) == 0);
    CHECK(elements.count == 2 + 1 + 2 + 3);
    CHECK(count_in(&elements, MAP_HOSTS4) == 1 && count_in(&elements, MAP_NETWORKS6) == 1);
    CHECK(count_in(&elements, SET_PORTS) == 2); /* one for all services of an instance */
    CHECK(count_in(&elements, SET_OWNER) == 3);
    const struct element *live = first_in(&elements, SET_LIVE);
    const uint32_t mark = 0x5b000101, owner[] = {2100000004, mark};
    CHECK(live != NULL && live->timeout_ms == 5000 && memcmp(live->key, &mark, 4) == 0);
    const struct element *first = first_in(&elements, SET_OWNER);
    CHECK(first != NULL && first->length == 8 && memcmp(first->key, owner, 8) == 0);
    CHECK(first != NULL && first->timeout_ms == 65000 && !first->redirects);
    const struct element *port = first_in(&elements, SET_PORTS);
    CHECK(port != NULL && port->timeout_ms == 0 && port->key[0] == 0x52 && port->key[1] == 0x09);
    CHECK(first_in(&elements, MAP_HOSTS4)->timeout_ms == 65000);
}

static void kinds(void)
{
    struct firewall_share one = share();
    struct elements elements = {0};
    CHECK(elements_of_share(&one, NULL, ELEMENT_OWNER, &elements) == 0);
    CHECK(elements.count == 3 && count_in(&elements, SET_OWNER) == 3);
    elements_remove(&elements, 0);
    CHECK(elements.count == 2 && elements.items[0].key[0] == (2100000005 & 255));
    elements_remove(&elements, 1);
    CHECK(elements.count == 1 && elements.items[0].key[0] == (2100000005 & 255));
    elements_free(&elements);
    CHECK(elements.items == NULL && elements.count == 0);
}

static void local_elements(void)
{
    struct firewall_share one = share();
    struct local local = {0};
    CHECK(local_gather(&one, &local) == 0);
    CHECK_TEXT(local.id, "1f");
    CHECK(local.count >= 3); /* 127.0.0.1, ::1, the single host; whatever else this host has */
    CLEANUP_ELEMENTS struct elements elements = {0};
    CHECK(elements_of_share(&one, &local, ELEMENT_CLIENT, &elements) == 0);
    CHECK(elements.count == 2 + local.count);
    CHECK(count_in(&elements, MAP_LOCAL4) == 2 && count_in(&elements, MAP_LOCAL6) >= 1);
    local_free(&local);
    CHECK(local.count == 0 && local.id[0] == 0);
}

static void own_addresses_of_networks(void)
{
    struct prefix clients[] = {prefix("127.0.0.0/8"), prefix("127.0.0.1")};
    struct firewall_share one = share();
    one.clients = clients;
    struct local local = {0};
    CHECK(local_gather(&one, &local) == 0);
    unsigned ipv4 = 0;
    for (uint32_t i = 0; i < local.count; i++) {
        ipv4 += local.addresses[i].family == AF_INET;
    }
    CHECK(ipv4 == 1); /* 127.0.0.1 only once, though it is there three times */
    local_free(&local);
}

TEST_MAIN({"networks", networks}, {"hosts", hosts},
          {"host bits are cleared", host_bits_are_cleared}, {"all elements", all_elements},
          {"kinds", kinds}, {"local elements", local_elements},
          {"own addresses of networks", own_addresses_of_networks})
