/* Bitwise work on addresses; text by inet_ntop(3), whose form of IPv6 is that of RFC 5952. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

bool address_equal(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, address_size(a)) == 0;
}

/* The bits of byte `i` that belong to a network of `length` bits. */
static uint8_t network_bits(unsigned length, unsigned i)
{
    if (length >= 8 * (i + 1)) {
        return 0xff;
    }
    return length <= 8 * i ? 0 : (uint8_t)(0xff << (8 - length % 8));
}

static bool same_network(const struct address *a, const struct address *b, unsigned length)
{
    if (a->family != b->family) {
        return false;
    }
    for (unsigned i = 0; i < address_size(a); i++) {
        if ((a->bytes[i] ^ b->bytes[i]) & network_bits(length, i)) {
            return false;
        }
    }
    return true;
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
    return outer->length <= inner->length &&
           same_network(&outer->address, &inner->address, outer->length);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
    return prefix_contains(a, b) || prefix_contains(b, a);
}

void prefix_last(const struct prefix *prefix, struct address *ret)
{
    struct address last = prefix->address;
    for (unsigned i = 0; i < address_size(&last); i++) {
        last.bytes[i] |= (uint8_t)~network_bits(prefix->length, i);
    }
    *ret = last;
}

void address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
    if (inet_ntop(address->family, address->bytes, text, ADDRESS_TEXT_SIZE) == NULL) {
        snprintf(text, ADDRESS_TEXT_SIZE, "?"); /* no address at all: the family is neither */
    }
}

void prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_SIZE])
{
    char address[ADDRESS_TEXT_SIZE];
    address_format(&prefix->address, address);
    if (prefix_is_host(prefix)) {
        snprintf(text, PREFIX_TEXT_SIZE, "%s", address);
    } else {
        snprintf(text, PREFIX_TEXT_SIZE, "%s/%u", address, (unsigned)prefix->length);
    }
}

static void from_ipv6(const struct in6_addr *from, struct address *ret)
{
    bool mapped = IN6_IS_ADDR_V4MAPPED(from);
    *ret = (struct address){.family = mapped ? AF_INET : AF_INET6};
    memcpy(ret->bytes, from->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
}

/* Copies, because a struct sockaddr in a message need not be aligned. */
int address_from_sockaddr(const struct sockaddr *sockaddr, struct address *ret, uint16_t *ret_port)
{
    sa_family_t family;
    memcpy(&family, &sockaddr->sa_family, sizeof family);
    in_port_t port;
    if (family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sockaddr, sizeof in);
        *ret = (struct address){.family = AF_INET};
        memcpy(ret->bytes, &in.sin_addr, 4);
        port = in.sin_port;
    } else if (family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sockaddr, sizeof in6);
        from_ipv6(&in6.sin6_addr, ret);
        port = in6.sin6_port;
    } else {
        return -EAFNOSUPPORT;
    }
    if (ret_port != NULL) {
        *ret_port = ntohs(port);
    }
    return 0;
}

socklen_t address_to_sockaddr(const struct address *address, uint16_t port,
                              struct sockaddr_storage *ret)
{
    *ret = (struct sockaddr_storage){0};
    if (address->family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&in.sin_addr, address->bytes, 4);
        memcpy(ret, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&in6.sin6_addr, address->bytes, 16);
    memcpy(ret, &in6, sizeof in6);
    return sizeof in6;
}
