/* What exactly has changed does not matter: any news makes us compare, after a moment in which more
 * of it may come. */
#include "guard_addresses.h"

#include "cleanup.h"
#include "log.h"
#include "share.h"
#include "share_log.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTLE_NS 200000000ull

struct guard_addresses {
    struct broker *broker;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *timer; /* runs: news have come */
};

static bool is_own(const struct ifaddrs *all, const struct prefix *client)
{
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        struct address own;
        uint16_t port;
        if (one->ifa_addr != NULL && address_from_sockaddr(one->ifa_addr, &own, &port) == 0 &&
            address_equal(&own, &client->address)) {
            return true;
        }
    }
    return false;
}

/* The first of its clients that is an address of this host; NULL when none is, or may be. */
static const struct prefix *own_client(const struct share *share, const struct ifaddrs *all)
{
    for (uint32_t i = 0; i < share->row.n_clients && !share->row.local; i++) {
        if (prefix_is_host(&share->row.clients[i]) && is_own(all, &share->row.clients[i])) {
            return &share->row.clients[i];
        }
    }
    return NULL;
}

static void compare(struct share *share, const struct ifaddrs *all)
{
    const struct prefix *client = own_client(share, all);
    char text[ADDRESS_TEXT_SIZE];

    if ((client != NULL) == share->client_is_own) {
        return;
    }
    share->client_is_own = client != NULL;
    if (client != NULL) {
        address_format(&client->address, text);
        share_log(LOG_LEVEL_WARN, "share.client", &share->row,
                  "its client %s is an address of this host now, and gets nothing while it is",
                  text);
    } else {
        share_log(LOG_LEVEL_INFO, "share.client", &share->row,
                  "none of its clients is an address of this host any more");
    }
}

static void settled(void *user_data)
{
    struct guard_addresses *addresses = user_data;
    struct ifaddrs *all = NULL;

    addresses->timer = NULL;
    if (getifaddrs(&all) < 0) {
        log_write(LOG_LEVEL_ERROR, "broker.addresses", NULL, "%s", strerror(errno));
        return;
    }
    for (struct share *share = addresses->broker->shares; share != NULL; share = share->next) {
        if (share->state == SHARE_ACTIVE) {
            compare(share, all);
        }
    }
    freeifaddrs(all);
}

static void heard(uint32_t events, void *user_data)
{
    struct guard_addresses *addresses = user_data;
    char news[4096];

    (void)events;
    while (recv(addresses->fd, news, sizeof news, MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
           errno == EINTR) {
    }
    if (addresses->timer == NULL) {
        loop_at(addresses->broker->loop, loop_now() + SETTLE_NS, settled, addresses,
                &addresses->timer);
    }
}

int guard_addresses_open(struct broker *broker, struct guard_addresses **ret)
{
    const struct sockaddr_nl all = {.nl_family = AF_NETLINK,
                                    .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    CLEANUP_FREE struct guard_addresses *addresses = calloc(1, sizeof *addresses);
    CLEANUP_CLOSE int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (addresses == NULL) {
        return -ENOMEM;
    }
    if (fd < 0 || bind(fd, (const struct sockaddr *)&all, sizeof all) < 0) {
        return -errno;
    }
    *addresses = (struct guard_addresses){.broker = broker, .fd = fd};
    int r = loop_watch(broker->loop, fd, EPOLLIN, heard, addresses, &addresses->watch);
    if (r < 0) {
        return r;
    }
    addresses->fd = TAKE_FD(fd);
    *ret = TAKE_PTR(addresses);
    return 0;
}

void guard_addresses_close(struct guard_addresses *addresses)
{
    if (addresses != NULL) {
        loop_unwatch(&addresses->watch);
        loop_cancel(&addresses->timer);
        close(addresses->fd);
        free(addresses);
    }
}
