/*
 * What the files of policy call of each other (policy.c, policy_clients.c, policy_limits.c,
 * policy_say.c), and nobody else.
 */
#pragma once

#include "policy.h"

/* Fills the refusal; always -EPERM. */
int policy_refuse(struct refusal *refusal, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The value as given, printable and short enough for a sentence. */
struct shown {
    char text[200];
};
struct shown policy_show(const char *value);
struct shown policy_show_address(const struct address *address);
struct shown policy_show_prefix(const struct prefix *prefix);
struct shown policy_show_prefixes(const struct settings_prefixes *prefixes); /* "none": empty */
struct shown policy_show_duration(uint64_t seconds);                         /* "23h 59m" */

/* How many shares there may be, altogether, of this asker, and being prepared. */
int policy_check_counts(const struct broker *broker, const struct policy_asker *asker,
                        struct refusal *refusal);

/* The request's addresses, into the row. */
int policy_check_clients(const struct broker *broker, const struct texts *given,
                         const struct policy_asker *asker, struct registry_share *row,
                         struct refusal *refusal);
