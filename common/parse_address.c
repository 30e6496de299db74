/* Addresses and networks, read by inet_pton(3), which takes no leading zeros, no octal and no short
 * forms; and the special-purpose ranges of RFC 6890 in which no client can be. */
#include "parse.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static int refuse(const char **ret_why, const char *why)
{
    if (ret_why != NULL) {
        *ret_why = why;
    }
    return -EINVAL;
}

/* ::ffff:10.0.0.0/104 is 10.0.0.0/8. With fewer than 96 bits some of the ffff are host bits, which
 * is refused elsewhere. */
static void unmap(struct prefix *prefix)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct address *address = &prefix->address;
    if (address->family == AF_INET6 && prefix->length >= 96 &&
        memcmp(address->bytes, mapped, sizeof mapped) == 0) {
        struct address inner = {.family = AF_INET};
        memcpy(inner.bytes, address->bytes + 12, 4);
        *prefix = (struct prefix){.address = inner, .length = (uint8_t)(prefix->length - 96)};
    }
}

static int read_address(const char *text, size_t length, struct address *ret)
{
    char copy[ADDRESS_TEXT_SIZE];
    if (length >= sizeof copy || memchr(text, '\0', length) != NULL) {
        return -EINVAL;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    *ret = (struct address){.family = memchr(text, ':', length) != NULL ? AF_INET6 : AF_INET};
    return inet_pton(ret->family, copy, ret->bytes) == 1 ? 0 : -EINVAL;
}

/* 0-32 or 0-128, written one way only: a second spelling of a network helps nobody. */
static int read_length(const char *text, size_t length, unsigned most, uint8_t *ret)
{
    uint64_t value;
    if ((length > 1 && text[0] == '0') || parse_number(text, length, 0, most, &value, NULL) < 0) {
        return -EINVAL;
    }
    *ret = (uint8_t)value;
    return 0;
}

static bool has_host_bits(const struct prefix *prefix)
{
    for (unsigned i = 0; i < address_size(&prefix->address); i++) {
        unsigned bits = prefix->length > 8 * i ? prefix->length - 8 * i : 0;
        uint8_t host = bits < 8 ? (uint8_t)(0xff >> bits) : 0;
        if (prefix->address.bytes[i] & host) {
            return true;
        }
    }
    return false;
}

int parse_prefix(const char *text, size_t length, struct prefix *ret, const char **ret_why)
{
    if (length == 0) {
        return refuse(ret_why, "is empty");
    }
    if (memchr(text, '%', length) != NULL) {
        return refuse(ret_why, "has a zone (%...), which is not allowed here");
    }
    const char *slash = memchr(text, '/', length);
    struct prefix prefix = {0};
    if (read_address(text, slash != NULL ? (size_t)(slash - text) : length, &prefix.address) < 0) {
        return refuse(ret_why, "is not an IPv4 or IPv6 address or network");
    }
    unsigned bits = 8 * address_size(&prefix.address);
    prefix.length = (uint8_t)bits;
    if (slash != NULL &&
        read_length(slash + 1, (size_t)(text + length - slash - 1), bits, &prefix.length) < 0) {
        return refuse(ret_why, "has a prefix length that is not a number from 0 to 32, or to 128 "
                               "for IPv6");
    }
    unmap(&prefix);
    if (has_host_bits(&prefix)) {
        return refuse(ret_why, "has bits set behind its prefix length");
    }
    *ret = prefix;
    return 0;
}

/* Documentation and benchmarking networks are not here: laboratories use them. */
static const struct {
    struct prefix range;
    const char *why;
} special[] = {
    {{{AF_INET, {0}}, 32}, "is the unspecified address"},
    {{{AF_INET, {0}}, 8}, "is or holds an address of \"this network\" (0.0.0.0/8)"},
    {{{AF_INET, {127}}, 8}, "is or holds a loopback address"},
    {{{AF_INET, {169, 254}}, 16}, "is or holds a link-local address"},
    {{{AF_INET, {192, 0, 0}}, 24}, "is or holds a reserved address"},
    {{{AF_INET, {224}}, 4}, "is or holds a multicast address"},
    {{{AF_INET, {255, 255, 255, 255}}, 32}, "is or holds the broadcast address"},
    {{{AF_INET, {240}}, 4}, "is or holds a reserved address"},
    {{{AF_INET6, {0}}, 128}, "is or holds the unspecified address"},
    {{{AF_INET6, {[15] = 1}}, 128}, "is or holds a loopback address"},
    {{{AF_INET6, {0}}, 80}, "is or holds a reserved address"}, /* IPv4 in disguise */
    {{{AF_INET6, {0x01}}, 64}, "is or holds a reserved address"},
    {{{AF_INET6, {0xfe, 0x80}}, 10}, "is or holds a link-local address"},
    {{{AF_INET6, {0xff}}, 8}, "is or holds a multicast address"},
};

int parse_client(const char *text, size_t length, struct prefix *ret, const char **ret_why)
{
    struct prefix prefix;
    int result = parse_prefix(text, length, &prefix, ret_why);
    if (result < 0) {
        return result;
    }
    if (prefix.length == 0) {
        return refuse(ret_why, "is everybody: the prefix length must not be 0");
    }
    for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
        if (prefix_overlaps(&special[i].range, &prefix)) {
            return refuse(ret_why, special[i].why);
        }
    }
    *ret = prefix;
    return 0;
}
