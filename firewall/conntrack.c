/* One message. The mark without its mask, or a version other than 0 in the header, would be read as
 * another request by some kernels. */
#include "conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

int conntrack_flush(struct netlink *netlink, uint32_t mark, uint32_t mask)
{
    _Alignas(struct nlmsghdr) char message[256];
    struct nlmsghdr *request = mnl_nlmsg_put_header(message);
    request->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof *header);
    *header = (struct nfgenmsg){.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0};
    mnl_attr_put_u32(request, CTA_MARK, htonl(mark));
    mnl_attr_put_u32(request, CTA_MARK_MASK, htonl(mask));
    return netlink_request(netlink, request, NULL, NULL);
}
