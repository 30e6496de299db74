/*
 * IPv4 and IPv6 addresses and networks (RFC 4291, RFC 4632) as values. An IPv4 address is always
 * of family AF_INET: mapped forms (::ffff:a.b.c.d) do not get past parse_prefix().
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
    sa_family_t family; /* AF_INET or AF_INET6 */
    uint8_t bytes[16];  /* network order; an IPv4 address uses the first 4, the others are 0 */
};

struct prefix {
    struct address address; /* host bits are 0 */
    uint8_t length;         /* bits: 0-32 or 0-128 */
};

#define ADDRESS_TEXT_SIZE INET6_ADDRSTRLEN
#define PREFIX_TEXT_SIZE  (INET6_ADDRSTRLEN + 4)

/* Bytes and bits of the family: 4 and 32, or 16 and 128. */
static inline unsigned address_size(const struct address *address)
{
    return address->family == AF_INET ? 4 : 16;
}
static inline bool prefix_is_host(const struct prefix *prefix)
{
    return prefix->length == 8 * address_size(&prefix->address);
}

bool address_equal(const struct address *a, const struct address *b);
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
/* The last address of the network: what nftables needs for the end of an interval. */
void prefix_last(const struct prefix *prefix, struct address *ret);

void address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE]);
/* "10.0.0.1" for a host, "10.0.0.0/24" for a network. */
void prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_SIZE]);

/* To and from the kernel's form; a mapped IPv6 address comes out as IPv4. -EAFNOSUPPORT otherwise.
 */
int address_from_sockaddr(const struct sockaddr *sockaddr, struct address *ret, uint16_t *ret_port);
socklen_t address_to_sockaddr(const struct address *address, uint16_t port,
                              struct sockaddr_storage *ret);
