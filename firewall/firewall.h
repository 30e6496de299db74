/*
 * The one nftables table of this program, `inet cdss`, and what belongs to it in the kernel:
 * conntrack entries by mark, TCP sockets by port. Nothing outside that table is ever changed.
 * docs/architecture.md draws the rule set and says why each rule is there.
 *
 * Every call is one netlink transaction or request that the kernel answers at once. All return 0 or
 * a negative errno; a refused transaction has changed nothing.
 * Sources: nft(8), libnftnl, linux/netfilter/nf_tables.h, nfnetlink_conntrack.h, sock_diag(7).
 */
#pragma once

#include "address.h"

#include <stdbool.h>
#include <stdint.h>

#define FIREWALL_TABLE        "cdss"
#define FIREWALL_NAME_MAX     31
#define FIREWALL_SERVICES_MAX 64
#define FIREWALL_NAT_PRIORITY (-110) /* of the redirects: before dstnat, -100, of everybody */

struct firewall; /* owns the netlink socket, which must live as long as the table is owned */

struct firewall_range {
    uint16_t first, last;
};

struct firewall_settings {
    uint8_t mark_prefix;           /* upper 8 bits of every mark of ours */
    struct firewall_range passive; /* ports of passive FTP data */
    uint32_t uid_first, uid_last;  /* all uids that shares may ever have */
    uint16_t log_group;            /* of NFLOG; 0: nothing is logged */
    uint32_t max_flows;            /* connections of one share at a time; 0: no limit */
};

enum firewall_helper { FIREWALL_HELPER_NONE, FIREWALL_HELPER_FTP, FIREWALL_HELPER_TFTP };

/* One redirect: clients call `public_port`, the instance listens on `instance_port`. */
struct firewall_service {
    uint8_t transport; /* IPPROTO_TCP or IPPROTO_UDP */
    uint16_t public_port, instance_port;
    enum firewall_helper helper;
    char name[16]; /* of the protocol, for log records; may be empty */
};

struct firewall_share {
    char id[FIREWALL_NAME_MAX + 1]; /* the broker's random id: [0-9a-f]+; names the chain s_ID */
    uint32_t mark;                  /* mark_prefix in the upper 8 bits */
    uint32_t uid_first, uid_count;
    const struct prefix *clients; /* borrowed */
    uint32_t n_clients;
    bool local; /* the same clients may also be on this host (--allow-local) */
    const struct firewall_service *services; /* borrowed */
    uint32_t n_services; /* may be 0 for a share whose protocols are not configured any more */
    uint64_t timeout_ms; /* until the kernel itself ends the share; > 0 */
};

/* Opens the netlink socket. *ret is freed with firewall_close(), which leaves the table. */
int firewall_open(const struct firewall_settings *settings, struct firewall **ret);
void firewall_close(struct firewall *firewall);

/* Replaces the whole table by the base rules and these shares, in one transaction. Owned and
 * persistent (NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST) where the kernel has that. The public UDP
 * ports are empty after it. A kernel that cannot count connections (nft_connlimit) gets no limit of
 * them; firewall_counts() says so then. */
int firewall_install(struct firewall *firewall, const struct firewall_share *shares,
                     uint32_t n_shares);

/* True when the installed table bounds the connections of each share. */
bool firewall_counts(const struct firewall *firewall);

/* True when it is ours alone to change, while we live: the kernel refuses others (Linux 6.9). */
bool firewall_owned(const struct firewall *firewall);

/* What somebody else did to the table since it was asked last. */
struct firewall_change {
    bool changed;  /* anything in it: the table, a chain, a rule, a set, an element */
    bool lost;     /* so much happened that the kernel had to leave out messages */
    uint32_t pid;  /* whose; 0 when unknown */
    char name[16]; /* of that process, as it calls itself: not to be trusted */
};

/* Readable when there may be a change. Belongs to the firewall. */
int firewall_change_fd(const struct firewall *firewall);
int firewall_change_read(struct firewall *firewall, struct firewall_change *ret);

/* Removes the table: for a broker that stops with no share alive. 0 also when it is not there. */
int firewall_uninstall(struct firewall *firewall);

/* 0 when the table is there with its base chains, -ENOENT when somebody removed it. */
int firewall_check(struct firewall *firewall);

/* Lets one share live: flushes its mark from conntrack, then one transaction with chain, redirects,
 * client elements, owner, live mark and ports. -EEXIST: a client or port of it is already in use.
 */
int firewall_share_add(struct firewall *firewall, const struct firewall_share *share);

/* Gives all elements of a live share a new timeout (share->timeout_ms). -ENOENT: it has ended. */
int firewall_share_extend(struct firewall *firewall, const struct firewall_share *share);

/* One of the clients leaves a live share (which still names it, and is not `local`): one
 * transaction takes its element, then its TCP connections are reset and its conntrack entries
 * deleted. Nothing of the other clients is touched. 0 also when it is gone; an error of the second
 * or third step is told though the first is done. */
int firewall_share_release(struct firewall *firewall, const struct firewall_share *share,
                           const struct prefix *client);

/* First step of ending: one transaction takes client elements, live mark, chain and ports; the
 * owner elements stay. 0 also when the kernel had expired some or all of it, or it was never there.
 */
int firewall_share_end(struct firewall *firewall, const struct firewall_share *share);

/* Second step: resets every TCP connection on the instance ports, and those of the share's uids and
 * mark on passive FTP ports (SOCK_DESTROY, as ss -K does), so that clients hear it at once.
 * -EOPNOTSUPP where the kernel lacks CONFIG_INET_DIAG_DESTROY. */
int firewall_share_reset(struct firewall *firewall, const struct firewall_share *share);

/* Last step, when no process of the share is left: its conntrack entries and owner elements. 0 also
 * when they are gone. -EBUSY: all is done, but an empty chain that nothing leads to stays until
 * the kernel has swept up expired elements; a call some seconds later takes it. */
int firewall_share_forget(struct firewall *firewall, const struct firewall_share *share);

/* Flushes every conntrack entry of any of our marks: for a start with an empty registry. */
int firewall_flush_all(struct firewall *firewall);

/* The same for one mark: of a share that is gone, and may have been made with other settings. */
int firewall_flush_mark(struct firewall *firewall, uint32_t mark);

/* 0, or -EINVAL where a field is out of its bounds, or not of these settings: such a share cannot
 * be let live. */
int firewall_share_check(const struct firewall *firewall, const struct firewall_share *share);

/* Sets the public UDP ports on which datagrams of strangers are refused. Ports that a process of
 * the host itself serves are left out (asked from the kernel by sock_diag at this moment). */
int firewall_set_public_udp(struct firewall *firewall, const uint16_t *ports, uint32_t n_ports);

/* True when a process of the host has a socket bound to this local port (listening TCP, or UDP). */
int firewall_port_served(struct firewall *firewall, uint8_t transport, uint16_t port,
                         bool *ret_served);
