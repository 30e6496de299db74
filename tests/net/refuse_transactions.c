/*
 * Preloaded into cdssd by tests/net/failures.sh: while the file named by CDSS_REFUSE exists, the
 * kernel refuses every nftables transaction that adds a rule, since a message of it is spoilt on
 * its way out. Everything else is left as it is.
 */
#include <dlfcn.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NEW_RULE ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE)
#define NO_SUCH  ((NFNL_SUBSYS_NFTABLES << 8) | 0xff)

static int wanted(void)
{
    const char *path = getenv("CDSS_REFUSE");
    struct stat status;
    return path != NULL && stat(path, &status) == 0;
}

static void spoil(void *packet, size_t length)
{
    unsigned left = (unsigned)length;
    for (struct nlmsghdr *message = packet; NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_type == NEW_RULE) {
            message->nlmsg_type = NO_SUCH;
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
    if (address != NULL && address->sa_family == AF_NETLINK && wanted()) {
        spoil((void *)packet, length);
    }
    return next(fd, packet, length, flags, address, size);
}
