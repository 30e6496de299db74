/* Own addresses come from getifaddrs(3), in the network namespace of the caller. */
#include "local.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

static bool known(const struct local *local, const struct address *address)
{
    for (uint32_t i = 0; i < local->count; i++) {
        if (address_equal(&local->addresses[i], address)) {
            return true;
        }
    }
    return false;
}

static int add(struct local *local, const struct address *address)
{
    if (known(local, address)) {
        return 0;
    }
    struct address *more =
        reallocarray(local->addresses, (size_t)local->count + 1, sizeof *local->addresses);
    if (more == NULL) {
        return -ENOMEM;
    }
    local->addresses = more;
    local->addresses[local->count++] = *address;
    return 0;
}

static int add_loopback(struct local *local)
{
    struct address ipv4 = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
    struct address ipv6 = {.family = AF_INET6, .bytes = {[15] = 1}};
    int error = add(local, &ipv4);
    return error != 0 ? error : add(local, &ipv6);
}

static int add_hosts(struct local *local, const struct firewall_share *share)
{
    for (uint32_t i = 0; i < share->n_clients; i++) {
        int error = prefix_is_host(&share->clients[i]) ? add(local, &share->clients[i].address) : 0;
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static bool is_client(const struct firewall_share *share, const struct address *address)
{
    struct prefix host = {.address = *address, .length = (uint8_t)(8 * address_size(address))};
    for (uint32_t i = 0; i < share->n_clients; i++) {
        if (prefix_contains(&share->clients[i], &host)) {
            return true;
        }
    }
    return false;
}

static int add_own(struct local *local, const struct firewall_share *share)
{
    struct ifaddrs *interfaces;
    if (getifaddrs(&interfaces) < 0) {
        return -errno;
    }
    int error = 0;
    for (const struct ifaddrs *i = interfaces; i != NULL && error == 0; i = i->ifa_next) {
        struct address address;
        uint16_t port;
        if (i->ifa_addr != NULL && address_from_sockaddr(i->ifa_addr, &address, &port) == 0 &&
            is_client(share, &address)) {
            error = add(local, &address);
        }
    }
    freeifaddrs(interfaces);
    return error;
}

int local_gather(const struct firewall_share *share, struct local *ret)
{
    struct local local = {0};
    memcpy(local.id, share->id, sizeof local.id);
    int error = add_loopback(&local);
    if (error == 0) {
        error = add_hosts(&local, share);
    }
    if (error == 0) {
        error = add_own(&local, share);
    }
    if (error != 0) {
        local_free(&local);
        return error;
    }
    *ret = local;
    return 0;
}

void local_free(struct local *local)
{
    free(local->addresses);
    *local = (struct local){0};
}
