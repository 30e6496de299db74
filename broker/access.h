/*
 * Who asks, and by what right. Administrators may do everything with every share. A web front end
 * asks for users: it says for which address, user policy holds, and the right to a share that is
 * there is its password, or the token of a session that was begun with the password.
 *
 * A wrong password, a wrong or old token, and a user who has no share or none with a password are
 * answered with one sentence, behind one check of a hash. Failures are counted per user's name,
 * whether there is such a share or not, per requester (IPv6: per /64) and per peer, and slow down
 * those who guess; and so, for moments, others who mean the same share.
 */
#pragma once

#include "control.h"
#include "messages.h"
#include "policy.h"
#include "share.h"
#include "verify.h"

#include <stdbool.h>

struct logins; /* failures, counted */

int logins_open(struct logins **ret);
void logins_close(struct logins *logins); /* NULL is fine */

struct access {
    bool web; /* a web front end asks */
    struct policy_asker asker;
    char name[64]; /* whom to count and to show: "10.0.0.5", "root", "uid 1000" */
    bool in_session;
    struct sha256 session; /* its token, as it is kept */
};

/* From the peer, and the flags (of SHARE_CREATE) and the requester in its request. 0; or -EPERM,
 * and the request is refused. */
int access_begin(struct broker *broker, struct connection *connection, uint32_t flags,
                 const char *requester, struct access *ret);

/* What counts its work in the queue of verify.h. */
struct verify_asker access_verify_asker(const struct access *access);

/* Goes on with a request about a share. NULL: an administrator means one that does not exist. The
 * share may be in any state but, for users, ENDING. */
typedef void access_granted(struct broker *broker, struct connection *connection,
                            struct share *share, const struct access *access, const void *body);

/* Calls `granted`, now or when the password was checked, or refuses the request. */
void access_share(struct broker *broker, struct connection *connection,
                  const struct message_who *who, access_granted *granted, const void *body);
