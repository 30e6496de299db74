/* In memory first; what the registry makes of it is awaited by nobody. What is lost with a session
 * that was not written is a login, and ends are written later when they cannot be now. */
#include "session.h"

#include "loop.h"
#include "messages.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define NS_PER_S    1000000000ull
#define LIFETIME_NS (8 * 3600 * NS_PER_S)

static void forget(struct registry_share *row, uint32_t index)
{
    row->n_sessions--;
    memmove(&row->sessions[index], &row->sessions[index + 1],
            (row->n_sessions - index) * sizeof row->sessions[0]);
}

int session_begin(struct share *share, char token[SESSION_TOKEN_SIZE], uint64_t *ret_seconds)
{
    struct registry_share *row = &share->row;
    struct registry_session session = {.until_ns = loop_now() + LIFETIME_NS};
    struct sha256 random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        return -EIO;
    }
    if (session.until_ns > row->deadline_ns) {
        session.until_ns = row->deadline_ns;
    }
    sha256_format(&random, token);
    explicit_bzero(&random, sizeof random);
    sha256(token, SESSION_TOKEN_SIZE - 1, &session.token);
    int r = registry_begin_session(share->broker->registry, row->id, &session, NULL, NULL);
    if (r < 0) {
        explicit_bzero(token, SESSION_TOKEN_SIZE);
        return r;
    }
    if (row->n_sessions == REGISTRY_SESSIONS_MAX) {
        forget(row, 0);
    }
    row->sessions[row->n_sessions++] = session;
    *ret_seconds = (session.until_ns - loop_now()) / NS_PER_S;
    return 0;
}

int session_answer(struct share *share, struct connection *connection)
{
    char token[SESSION_TOKEN_SIZE];
    struct message_session message = {.token = token, .user = share->row.user.text};

    int r = session_begin(share, token, &message.seconds);
    if (r == 0) {
        connection_send(connection, MESSAGE_SESSION, &message);
        explicit_bzero(token, sizeof token);
    }
    return r;
}

struct share *session_find(struct broker *broker, const char *token, struct sha256 *ret)
{
    struct share *found = NULL;
    uint64_t now = loop_now();

    sha256(token, strlen(token), ret);
    for (struct share *share = broker->shares; share != NULL; share = share->next) {
        for (uint32_t i = 0; i < share->row.n_sessions; i++) {
            const struct registry_session *session = &share->row.sessions[i];
            bool is_it = sha256_equal(&session->token, ret);
            if (is_it && session->until_ns > now && share->state != SHARE_ENDING) {
                found = share;
            }
        }
    }
    return found;
}

void session_end(struct share *share, const struct sha256 *token, bool others)
{
    struct registry_share *row = &share->row;
    uint32_t before = row->n_sessions;

    for (uint32_t i = row->n_sessions; i-- > 0;) {
        bool is_it = token != NULL && sha256_equal(&row->sessions[i].token, token);
        if (is_it != others) {
            forget(row, i);
        }
    }
    if (row->n_sessions < before) {
        registry_end_sessions(share->broker->registry, row->id, token, others, NULL, NULL);
    }
}
