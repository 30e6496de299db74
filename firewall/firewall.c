/* The public calls: each checks what it is given, and puts transactions and requests in order. */
#include "firewall.h"

#include "cleanup.h"
#include "conntrack.h"
#include "monitor.h"
#include "share_rules.h"
#include "sockets.h"
#include "table.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_FLAG_PERSIST 0x4u /* NFT_TABLE_F_PERSIST of Linux 6.9 */
#define TABLE_OWNED        (NFT_TABLE_F_OWNER | TABLE_FLAG_PERSIST)

struct firewall {
    struct firewall_settings settings;
    struct netlink netfilter; /* its port id is the owner of the table */
    struct netlink diag;
    struct monitor monitor;
    bool owned;           /* nobody else can change the table */
    bool counts;          /* it bounds each share's connections */
    uint16_t *public_udp; /* owned: what the set holds */
    uint32_t n_public_udp;
    struct local local; /* of the one share that clients on this host may use */
};

static bool settings_are_valid(const struct firewall_settings *settings)
{
    return settings->mark_prefix != 0 && settings->passive.first != 0 &&
           settings->passive.first <= settings->passive.last && settings->uid_first != 0 &&
           settings->uid_first <= settings->uid_last;
}

int firewall_open(const struct firewall_settings *settings, struct firewall **ret)
{
    if (!settings_are_valid(settings)) {
        return -EINVAL;
    }
    struct firewall *firewall = calloc(1, sizeof *firewall);
    if (firewall == NULL) {
        return -ENOMEM;
    }
    firewall->settings = *settings;
    int error = netlink_open(&firewall->netfilter, NETLINK_NETFILTER);
    if (error == 0) {
        error = netlink_open(&firewall->diag, NETLINK_SOCK_DIAG);
    }
    if (error == 0) {
        error = monitor_open(&firewall->monitor, &firewall->netfilter);
    }
    if (error != 0) {
        firewall_close(firewall);
        return error;
    }
    *ret = firewall;
    return 0;
}

void firewall_close(struct firewall *firewall)
{
    if (firewall != NULL) {
        netlink_close(&firewall->netfilter);
        netlink_close(&firewall->diag);
        monitor_close(&firewall->monitor);
        free(firewall->public_udp);
        local_free(&firewall->local);
        free(firewall);
    }
}

/* The set of public UDP ports holds these (taken over) from now on. */
static void remember_public_udp(struct firewall *firewall, uint16_t *ports, uint32_t n_ports)
{
    free(firewall->public_udp);
    firewall->public_udp = ports;
    firewall->n_public_udp = n_ports;
}

static const struct local *local_of(const struct firewall *firewall,
                                    const struct firewall_share *share)
{
    return strcmp(firewall->local.id, share->id) == 0 ? &firewall->local : NULL;
}

static void remember_local(struct firewall *firewall, struct local *local)
{
    local_free(&firewall->local);
    firewall->local = *local;
    *local = (struct local){0};
}

/* A share that is to live needs a time to end. */
static int check_living(const struct firewall *firewall, const struct firewall_share *share)
{
    return share->timeout_ms > 0 ? share_rules_check(&firewall->settings, share) : -EINVAL;
}

/* Adds one share to a transaction, and its own addresses to `local`, which must be empty. */
static int put_share(struct transaction *transaction, const struct firewall_settings *settings,
                     const struct firewall_share *share, struct local *local)
{
    if (!share->local) {
        return share_rules_put(transaction, settings, share, NULL);
    }
    if (local->count > 0) {
        return -EEXIST;
    }
    int error = local_gather(share, local);
    return error != 0 ? error : share_rules_put(transaction, settings, share, local);
}

/* The settings by which the table is made: without a limit where the kernel cannot count. */
static struct firewall_settings table_settings(const struct firewall *firewall)
{
    struct firewall_settings settings = firewall->settings;
    settings.max_flows = firewall->counts ? settings.max_flows : 0;
    return settings;
}

static int install_with(struct firewall *firewall, const struct firewall_share *shares,
                        uint32_t n_shares, uint32_t take_flags, uint32_t flags)
{
    const struct firewall_settings settings = table_settings(firewall);
    struct local local = {0};
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, &firewall->netfilter);
    table_replace(&transaction, take_flags, flags);
    table_fill(&transaction, &settings);
    int error = 0;
    for (uint32_t i = 0; i < n_shares && error == 0; i++) {
        error = put_share(&transaction, &settings, &shares[i], &local);
    }
    if (error == 0) {
        error = transaction_commit(&transaction, NULL);
    }
    if (error == 0) {
        remember_local(firewall, &local);
        remember_public_udp(firewall, NULL, 0);
    }
    local_free(&local);
    return error;
}

/* A table can only be taken over by the flags that it has: ours or an orphan's (6), or none (made
 * by an older kernel or by hand). Kernels before 6.9 know no persistent owner and say -EOPNOTSUPP;
 * so does every mismatch. */
static const struct {
    uint32_t take, flags;
} attempts[] = {{TABLE_OWNED, TABLE_OWNED}, {0, TABLE_OWNED}, {0, 0}};

static int install(struct firewall *firewall, const struct firewall_share *shares,
                   uint32_t n_shares)
{
    int error = -EOPNOTSUPP;
    for (size_t i = 0; i < ARRAY_SIZE(attempts) && error == -EOPNOTSUPP; i++) {
        error = install_with(firewall, shares, n_shares, attempts[i].take, attempts[i].flags);
        firewall->owned = error == 0 && attempts[i].flags == TABLE_OWNED;
    }
    return error;
}

/* -ENOENT is the kernel's word for a kind of expression that it does not know. */
int firewall_install(struct firewall *firewall, const struct firewall_share *shares,
                     uint32_t n_shares)
{
    for (uint32_t i = 0; i < n_shares; i++) {
        int error = check_living(firewall, &shares[i]);
        if (error != 0) {
            return error;
        }
    }
    firewall->counts = firewall->settings.max_flows != 0;
    int error = install(firewall, shares, n_shares);
    if (error == -ENOENT && firewall->counts) {
        firewall->counts = false;
        error = install(firewall, shares, n_shares);
    }
    return error;
}

bool firewall_counts(const struct firewall *firewall)
{
    return firewall->counts;
}

bool firewall_owned(const struct firewall *firewall)
{
    return firewall->owned;
}

int firewall_change_fd(const struct firewall *firewall)
{
    return mnl_socket_get_fd(firewall->monitor.socket);
}

int firewall_change_read(struct firewall *firewall, struct firewall_change *ret)
{
    *ret = (struct firewall_change){0};
    return monitor_read(&firewall->monitor, ret);
}

int firewall_uninstall(struct firewall *firewall)
{
    int error = table_remove(&firewall->netfilter);
    if (error == 0) {
        local_free(&firewall->local);
    }
    return error;
}

int firewall_check(struct firewall *firewall)
{
    const struct firewall_settings settings = table_settings(firewall);
    return table_check(&firewall->netfilter, &settings);
}

/* An entry that an earlier holder of this mark left behind would be alive again. */
int firewall_share_add(struct firewall *firewall, const struct firewall_share *share)
{
    int error = check_living(firewall, share);
    if (error == 0 && share->local && firewall->local.count > 0) {
        return -EEXIST;
    }
    if (error == 0) {
        error = conntrack_flush(&firewall->netfilter, share->mark, UINT32_MAX);
    }
    if (error != 0) {
        return error;
    }
    struct local local = {0};
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, &firewall->netfilter);
    error = put_share(&transaction, &firewall->settings, share, &local);
    if (error == 0) {
        error = transaction_commit(&transaction, NULL);
    }
    if (error == 0 && share->local) {
        remember_local(firewall, &local);
    }
    local_free(&local);
    return error;
}

int firewall_share_extend(struct firewall *firewall, const struct firewall_share *share)
{
    int error = check_living(firewall, share);
    return error != 0 ? error
                      : share_rules_extend(&firewall->netfilter, share, local_of(firewall, share));
}

int firewall_share_end(struct firewall *firewall, const struct firewall_share *share)
{
    const struct local *local = local_of(firewall, share);
    int error = share_rules_check(&firewall->settings, share);
    if (error == 0) {
        error = share_rules_end(&firewall->netfilter, share, local);
    }
    if (error == 0 && local != NULL) {
        local_free(&firewall->local);
    }
    return error;
}

int firewall_share_reset(struct firewall *firewall, const struct firewall_share *share)
{
    int error = share_rules_check(&firewall->settings, share);
    return error != 0 ? error : sockets_reset(&firewall->diag, share, NULL);
}

/* In the order of an end: nothing new, then the connections, whose resets need their flows. */
int firewall_share_release(struct firewall *firewall, const struct firewall_share *share,
                           const struct prefix *client)
{
    int error = share_rules_check(&firewall->settings, share);
    if (error == 0) {
        error = share_rules_release(&firewall->netfilter, share, client);
    }
    if (error != 0) {
        return error;
    }
    int reset = sockets_reset(&firewall->diag, share, client);
    int flushed = conntrack_flush_client(&firewall->netfilter, share->mark, client);
    return reset != 0 ? reset : flushed;
}

/* The entries go even when the table cannot be changed. */
int firewall_share_forget(struct firewall *firewall, const struct firewall_share *share)
{
    int error = share_rules_check(&firewall->settings, share);
    if (error != 0) {
        return error;
    }
    error = share_rules_forget(&firewall->netfilter, share);
    int flushed = conntrack_flush(&firewall->netfilter, share->mark, UINT32_MAX);
    return error != 0 ? error : flushed;
}

int firewall_flush_all(struct firewall *firewall)
{
    return conntrack_flush(&firewall->netfilter, table_mark(&firewall->settings), TABLE_MARK_MASK);
}

int firewall_flush_mark(struct firewall *firewall, uint32_t mark)
{
    return conntrack_flush(&firewall->netfilter, mark, UINT32_MAX);
}

int firewall_share_check(const struct firewall *firewall, const struct firewall_share *share)
{
    return check_living(firewall, share);
}

int firewall_set_public_udp(struct firewall *firewall, const uint16_t *ports, uint32_t n_ports)
{
    CLEANUP_FREE uint16_t *free_ports = calloc((size_t)n_ports + 1, sizeof *free_ports);
    if (free_ports == NULL) {
        return -ENOMEM;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < n_ports; i++) {
        bool served;
        int error = firewall_port_served(firewall, IPPROTO_UDP, ports[i], &served);
        if (error != 0) {
            return error;
        }
        if (!served) {
            free_ports[count++] = ports[i];
        }
    }
    if (count == firewall->n_public_udp &&
        (count == 0 || memcmp(free_ports, firewall->public_udp, count * sizeof *free_ports) == 0)) {
        return 0;
    }
    int error = elements_replace_ports(&firewall->netfilter, SET_PUBLIC_UDP, free_ports, count);
    if (error == 0) {
        remember_public_udp(firewall, TAKE_PTR(free_ports), count);
    }
    return error;
}

int firewall_port_served(struct firewall *firewall, uint8_t transport, uint16_t port,
                         bool *ret_served)
{
    if (port == 0 || (transport != IPPROTO_TCP && transport != IPPROTO_UDP)) {
        return -EINVAL;
    }
    return sockets_served(&firewall->diag, &firewall->settings, transport, port, ret_served);
}
