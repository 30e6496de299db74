/* Messages are built in a scratch buffer, since libnftnl does not look where a buffer ends, and
 * appended. Only the last is acknowledged: acknowledgements of thousands would not fit the receive
 * buffer, and errors come unasked. */
#include "transaction.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <string.h>

/* The marks around a batch are messages too, and take a sequence number each. */
static void append(struct transaction *transaction)
{
    const struct nlmsghdr *message = (const struct nlmsghdr *)transaction->message;
    text_append(&transaction->bytes, transaction->message, message->nlmsg_len);
}

void transaction_begin(struct transaction *transaction, struct netlink *netlink)
{
    transaction->netlink = netlink;
    transaction->bytes = (struct text){0};
    transaction->count = 0;
    transaction->last_offset = 0;
    transaction->first = ++netlink->sequence;
    nftnl_batch_begin(transaction->message, transaction->first);
    append(transaction);
}

struct nlmsghdr *transaction_message(struct transaction *transaction, uint16_t type, uint16_t flags)
{
    return nftnl_nlmsg_build_hdr(transaction->message, type, NFPROTO_INET, flags,
                                 ++transaction->netlink->sequence);
}

void transaction_add(struct transaction *transaction)
{
    transaction->last_offset = transaction->bytes.length;
    transaction->count++;
    append(transaction);
}

void transaction_fail(struct transaction *transaction)
{
    transaction->bytes.failed = true;
}

static void ask_for_acknowledgement(struct transaction *transaction)
{
    struct nlmsghdr *last = (struct nlmsghdr *)(transaction->bytes.data + transaction->last_offset);
    last->nlmsg_flags |= NLM_F_ACK;
}

int transaction_commit(struct transaction *transaction, uint32_t *ret_failed)
{
    uint32_t last = transaction->first + transaction->count, failed = 0;
    nftnl_batch_end(transaction->message, ++transaction->netlink->sequence);
    append(transaction);
    if (!text_ok(&transaction->bytes)) {
        return -ENOMEM;
    }
    if (transaction->count == 0) {
        return 0;
    }
    ask_for_acknowledgement(transaction);
    int error =
        netlink_exchange(transaction->netlink, transaction->bytes.data, transaction->bytes.length,
                         transaction->first, last, NULL, NULL, &failed);
    if (error != 0 && ret_failed != NULL) {
        uint32_t number = failed - transaction->first - 1;
        *ret_failed = number < transaction->count ? number : TRANSACTION_NONE;
    }
    return error;
}

void transaction_free(struct transaction *transaction)
{
    text_free(&transaction->bytes);
}
