/* Addresses and networks: two lines, each a client or a network of the settings. What is taken is
 * canonical and comes back from its own text, a client is nothing that no client can be, and of two
 * networks one contains the other or they have nothing in common. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

typedef int parser(const char *text, size_t length, struct prefix *ret, const char **ret_why);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct prefix network(const char *text)
{
    struct prefix prefix;
    REQUIRE(parse_prefix(text, strlen(text), &prefix, NULL) == 0);
    return prefix;
}

static void check_canonical(parser *parse, const struct prefix *prefix)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[PREFIX_TEXT_SIZE];
    struct prefix back;

    REQUIRE(prefix->address.family == AF_INET || prefix->address.family == AF_INET6);
    REQUIRE(prefix->length <= 8 * address_size(&prefix->address));
    REQUIRE(prefix->address.family == AF_INET || prefix->length < 96 ||
            memcmp(prefix->address.bytes, mapped, sizeof mapped) != 0);
    prefix_format(prefix, text);
    REQUIRE(parse(text, strlen(text), &back, NULL) == 0);
    REQUIRE(back.length == prefix->length && address_equal(&back.address, &prefix->address));
}

static void check_last(const struct prefix *prefix)
{
    struct prefix last = {.length = (uint8_t)(8 * address_size(&prefix->address))};
    prefix_last(prefix, &last.address);
    REQUIRE(prefix_contains(prefix, &last) && prefix_overlaps(&last, prefix));
    REQUIRE(prefix_is_host(&last));
    REQUIRE(!prefix_is_host(prefix) || address_equal(&last.address, &prefix->address));
}

/* As the kernel has it, and back: how a client's address is compared with the host's own. */
static void check_sockaddr(const struct prefix *prefix)
{
    struct sockaddr_storage storage;
    struct address back;
    uint16_t port = 0;
    REQUIRE(address_to_sockaddr(&prefix->address, 69, &storage) > 0);
    REQUIRE(address_from_sockaddr((const struct sockaddr *)&storage, &back, &port) == 0);
    REQUIRE(port == 69 && address_equal(&back, &prefix->address));
}

static void check_client(const char *text, size_t length, const struct prefix *client)
{
    static const char *const nobody[] = {
        "0.0.0.0", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255",
        "::",      "::1",         "fe80::/10",      "ff00::/8"};
    struct prefix prefix;
    REQUIRE(client->length > 0 && parse_prefix(text, length, &prefix, NULL) == 0);
    REQUIRE(prefix.length == client->length && address_equal(&prefix.address, &client->address));
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        struct prefix never = network(nobody[i]);
        REQUIRE(!prefix_contains(&never, client));
    }
}

/* 1 when it is a network; as a client it is judged besides. */
static int take(const char *text, size_t length, struct prefix *ret)
{
    struct prefix client;
    const char *why = NULL;
    if (parse_client(text, length, &client, &why) == 0) {
        check_client(text, length, &client);
        check_canonical(parse_client, &client);
    } else {
        REQUIRE(why != NULL && why[0] != '\0');
    }
    why = NULL;
    if (parse_prefix(text, length, ret, &why) < 0) {
        REQUIRE(why != NULL && why[0] != '\0');
        return 0;
    }
    check_canonical(parse_prefix, ret);
    check_last(ret);
    check_sockaddr(ret);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = size > 0 ? (const char *)data : "";
    const char *line = memchr(text, '\n', size);
    size_t first = line == NULL ? size : (size_t)(line - text);
    struct prefix a, b;

    if (take(text, first, &a) == 0 || line == NULL || take(line + 1, size - first - 1, &b) == 0) {
        return 0;
    }
    REQUIRE(prefix_overlaps(&a, &b) == prefix_overlaps(&b, &a));
    REQUIRE(prefix_overlaps(&a, &b) == (prefix_contains(&a, &b) || prefix_contains(&b, &a)));
    return 0;
}
