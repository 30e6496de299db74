/* What is refused before the kernel is asked, and the frame of a transaction. */
#include "share_rules.h"
#include "test.h"
#include "transaction.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

static const struct firewall_settings settings = {.mark_prefix = 0x5b,
                                                  .passive = {30000, 31999},
                                                  .uid_first = 2100000000,
                                                  .uid_last = 2100003999};
static struct prefix client;
static struct firewall_service service;

static struct firewall_share good(void)
{
    client = (struct prefix){.address = {AF_INET, {10, 0, 0, 1}}, .length = 32};
    service = (struct firewall_service){IPPROTO_TCP, 8080, 21001, FIREWALL_HELPER_FTP, "http"};
    return (struct firewall_share){.id = "0123456789abcdef",
                                   .mark = 0x5b000001,
                                   .uid_first = 2100003996,
                                   .uid_count = 4,
                                   .clients = &client,
                                   .n_clients = 1,
                                   .services = &service,
                                   .n_services = 1,
                                   .timeout_ms = 1000};
}

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        struct firewall_share share = good();                                                      \
        change;                                                                                    \
        CHECK(share_rules_check(&settings, &share) == -EINVAL);                                    \
    } while (0)

static void a_good_share(void)
{
    struct firewall_share share = good();
    CHECK(share_rules_check(&settings, &share) == 0);
    share.timeout_ms = 0; /* fine for ending */
    CHECK(share_rules_check(&settings, &share) == 0);
    share.n_services = 0; /* its protocols are not configured any more */
    CHECK(share_rules_check(&settings, &share) == 0);
    memset(share.id, 'a', FIREWALL_NAME_MAX);
    CHECK(share_rules_check(&settings, &share) == 0);
}

static void ids(void)
{
    REFUSED(share.id[0] = 0);
    REFUSED(share.id[3] = 'g');
    REFUSED(share.id[3] = 'A');
    REFUSED(share.id[3] = ' ');
    REFUSED(share.id[3] = '\n');
    REFUSED(memset(share.id, 'a', sizeof share.id)); /* no NUL */
}

static void numbers(void)
{
    REFUSED(share.mark = 0x5c000001);
    REFUSED(share.mark = 1);
    REFUSED(share.uid_first = 2099999999);
    REFUSED(share.uid_first = 2100003997); /* the last is behind the range */
    REFUSED(share.uid_first = 2100004000);
    REFUSED(share.uid_count = 0);
    REFUSED(share.uid_count = UINT32_MAX);
    REFUSED(share.timeout_ms = UINT64_MAX);
}

static void clients_and_services(void)
{
    REFUSED(share.n_clients = 0);
    REFUSED(share.n_services = FIREWALL_SERVICES_MAX + 1);
    REFUSED(client.address.family = AF_UNIX);
    REFUSED(client.length = 33);
    REFUSED(service.transport = IPPROTO_ICMP);
    REFUSED(service.public_port = 0);
    REFUSED(service.instance_port = 0);
    REFUSED(service.name[0] = '"');
    REFUSED(service.name[0] = ' ');
    REFUSED(service.name[0] = '\n');
    REFUSED(memset(service.name, 'a', sizeof service.name)); /* no NUL */
}

/* Walks the bytes of a transaction as the kernel does. */
static void frame(void)
{
    struct firewall_share share = good();
    struct netlink netlink = {.sequence = 41};
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, &netlink);
    CHECK(share_rules_put(&transaction, &settings, &share, NULL) == 0);
    CHECK(text_ok(&transaction.bytes));
    /* the chain, its rule, then client, live mark, port and four owners */
    CHECK(transaction.count == 1 + 1 + 1 + 1 + 1 + 4 && transaction.first == 42);
    const struct nlmsghdr *message = (const struct nlmsghdr *)transaction.bytes.data;
    int left = (int)transaction.bytes.length;
    CHECK(message->nlmsg_type == NFNL_MSG_BATCH_BEGIN);
    for (uint32_t i = 0; i <= transaction.count; i++) {
        CHECK(mnl_nlmsg_ok(message, left));
        CHECK(message->nlmsg_seq == 42 + i);
        CHECK(i == 0 || message->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES);
        CHECK(i < 1 || (message->nlmsg_flags & NLM_F_CREATE));
        CHECK(i != transaction.count ||
              (const char *)message == transaction.bytes.data + transaction.last_offset);
        message = mnl_nlmsg_next(message, &left);
    }
    CHECK(left == 0);
}

static void a_full_memory(void)
{
    struct netlink netlink = {0};
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, &netlink);
    transaction_fail(&transaction);
    CHECK(transaction_commit(&transaction, NULL) == -ENOMEM);
}

static void an_empty_transaction(void)
{
    struct netlink netlink = {0};
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, &netlink);
    CHECK(transaction_commit(&transaction, NULL) == 0);
}

TEST_MAIN({"a good share", a_good_share}, {"ids", ids}, {"numbers", numbers},
          {"clients and services", clients_and_services}, {"frame", frame},
          {"a full memory", a_full_memory}, {"an empty transaction", an_empty_transaction})
