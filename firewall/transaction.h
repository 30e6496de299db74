/*
 * A batch of nftables messages that the kernel applies as a whole or not at all.
 *
 *   struct transaction transaction;
 *   transaction_begin(&transaction, netlink);
 *   struct nlmsghdr *message = transaction_message(&transaction, NFT_MSG_NEWTABLE, NLM_F_CREATE);
 *   nftnl_table_nlmsg_build_payload(message, table);
 *   transaction_add(&transaction);
 *   error = transaction_commit(&transaction, NULL);
 *   transaction_free(&transaction);
 *
 * One message is open at a time, and holds at most TRANSACTION_MESSAGE_MAX bytes: a rule, a set or
 * one element, whose sizes are all bounded. Failure to allocate is sticky and comes out of
 * transaction_commit().
 */
#pragma once

#include "netlink.h"
#include "text.h"

#include <stdint.h>

#define TRANSACTION_MESSAGE_MAX 8192
#define TRANSACTION_NONE        UINT32_MAX

struct transaction {
    struct netlink *netlink; /* borrowed */
    struct text bytes;
    uint32_t first;     /* sequence number of the batch's begin */
    uint32_t count;     /* messages added, without begin and end */
    size_t last_offset; /* of the last of them in `bytes` */
    _Alignas(struct nlmsghdr) char message[TRANSACTION_MESSAGE_MAX];
};

#define CLEANUP_TRANSACTION __attribute__((cleanup(transaction_free)))

void transaction_begin(struct transaction *transaction, struct netlink *netlink);
struct nlmsghdr *transaction_message(struct transaction *transaction, uint16_t type,
                                     uint16_t flags);
void transaction_add(struct transaction *transaction);

/* For callers whose own allocation failed. */
void transaction_fail(struct transaction *transaction);

/* 0, or a negative errno with the number of the message that the kernel refused (from 0, in the
 * order of transaction_add) in *ret_failed, or TRANSACTION_NONE. ret_failed may be NULL. */
int transaction_commit(struct transaction *transaction, uint32_t *ret_failed);
void transaction_free(struct transaction *transaction);
