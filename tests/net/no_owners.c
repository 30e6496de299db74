/*
 * Preloaded into cdssd by tests/net/foreign.sh: the kernel seems to be one from before Linux 6.9,
 * which knows no persistent owners of tables, since a flag that no kernel knows is added on the way
 * to it: it answers -EOPNOTSUPP, as an older one does by itself.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define NEW_TABLE    ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWTABLE)
#define FLAG_PERSIST 0x4u
#define FLAG_UNKNOWN 0x40000000u

static void spoil_flags(struct nlmsghdr *message)
{
    char *place = (char *)message + NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
    char *end = (char *)message + message->nlmsg_len;
    struct nlattr attribute;
    uint32_t flags;
    for (; place + sizeof attribute + sizeof flags <= end; place += NLA_ALIGN(attribute.nla_len)) {
        memcpy(&attribute, place, sizeof attribute);
        memcpy(&flags, place + NLA_HDRLEN, sizeof flags);
        if (attribute.nla_type == NFTA_TABLE_FLAGS && (ntohl(flags) & FLAG_PERSIST)) {
            flags |= htonl(FLAG_UNKNOWN);
            memcpy(place + NLA_HDRLEN, &flags, sizeof flags);
        }
        if (attribute.nla_len < sizeof attribute) {
            return;
        }
    }
}

ssize_t sendto(int fd, const void *packet, size_t length, int flags, const struct sockaddr *address,
               socklen_t size)
{
    ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
        (ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(
            RTLD_NEXT, "sendto");
    if (address != NULL && address->sa_family == AF_NETLINK) {
        unsigned left = (unsigned)length;
        for (struct nlmsghdr *message = (void *)packet; NLMSG_OK(message, left);
             message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type == NEW_TABLE) {
                spoil_flags(message);
            }
        }
    }
    return next(fd, packet, length, flags, address, size);
}
