/*
 * The conversation is one request and then answers until DONE or REFUSED. Ctrl-C needs no code: the
 * process dies, the kernel closes the connection, and the broker undoes what it was preparing.
 */
#include "cli_call.h"

#include "cleanup.h"
#include "cli_progress.h"
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The broker says something at every step; silence for so long means that it hangs. */
#define ANSWER_TIMEOUT_MS (120 * 1000)

static void answer_free(struct cli_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        wire_free(&answer->records[i]);
    }
    free(answer->records);
    free(answer->sentence);
    *answer = (struct cli_answer){0};
}

static enum cli_status fail_connect(struct cli *cli, int error)
{
    const struct settings *settings = &cli->settings;
    if (error == -ENOENT || error == -ECONNREFUSED) {
        return cli_fail(cli, CLI_FAILED, "",
                        "the broker is not running (nothing answers on %s); start it with "
                        "'systemctl start cdssd', or run 'cdssd' as root%s",
                        settings->socket,
                        cli->command->run == cli_reap
                            ? "; shares whose time is over are cut already, and will be tidied up "
                              "when it starts"
                            : "");
    }
    if (error == -EACCES || error == -EPERM) {
        return cli_fail(cli, CLI_FAILED, "",
                        "you may not talk to the broker; be root or a member of the group %s",
                        settings->admin_group);
    }
    return cli_fail(cli, CLI_FAILED, "", "the broker cannot be reached on %s: %s", settings->socket,
                    strerror(-error));
}

static enum cli_status fail_send(struct cli *cli, int error, const char *field)
{
    if (error == -ERANGE) {
        return cli_fail(cli, CLI_USAGE, field,
                        "\"%s\" is longer, or has more values, than a request may hold; give less",
                        field);
    }
    if (error == -EMSGSIZE) {
        return cli_fail(cli, CLI_USAGE, "",
                        "the request is too large; share fewer images at a time");
    }
    return cli_fail(cli, CLI_FAILED, "", "the request could not be sent: %s", strerror(-error));
}

static enum cli_status fail_receive(struct cli *cli, int error)
{
    if (error == -ETIMEDOUT) {
        return cli_fail(cli, CLI_FAILED, "",
                        "the broker has not answered for %d s; its log says why",
                        ANSWER_TIMEOUT_MS / 1000);
    }
    if (error == -ECONNRESET || error == -EPIPE) {
        return cli_fail(
            cli, CLI_FAILED, "",
            "the broker hung up; it may have been stopped, or you may not talk to it (be "
            "root or a member of the group %s)",
            cli->settings.admin_group);
    }
    if (error == -EPROTO || error == -EPROTONOSUPPORT) {
        return cli_fail(
            cli, CLI_FAILED, "",
            "the broker's answer is not understood; are cdss and cdssd of one version?");
    }
    return cli_fail(cli, CLI_FAILED, "", "the broker's answer was lost: %s", strerror(-error));
}

static int keep(struct wire_message *message, struct cli_answer *answer)
{
    struct wire_message *records =
        reallocarray(answer->records, answer->count + 1, sizeof *records);
    if (records == NULL) {
        return -ENOMEM;
    }
    answer->records = records;
    records[answer->count++] = *message;
    *message = (struct wire_message){0};
    return 0;
}

static enum cli_status finish(struct cli *cli, const struct wire_message *message,
                              struct cli_answer *answer)
{
    if (message->id == MESSAGE_REFUSED) {
        const struct message_refused *refused = message->body;
        CLEANUP_TEXT struct text sentence = {0};
        text_add_printable(&sentence, refused->sentence, strlen(refused->sentence));
        return cli_fail(cli, CLI_FAILED, refused->field, "%s",
                        sentence.data != NULL ? sentence.data : "the request was refused");
    }
    const struct message_done *done = message->body;
    answer->sentence = strdup(done->sentence);
    if (answer->sentence == NULL) {
        return cli_fail(cli, CLI_FAILED, "", "no memory");
    }
    return done->outcome == 0 ? CLI_DONE : CLI_NOTHING;
}

/* Takes one message. True when it was the last, with *ret_status. */
static bool take(struct cli *cli, struct wire_message *message, struct cli_answer *answer,
                 enum cli_status *ret_status)
{
    switch (message->id) {
    case MESSAGE_PROGRESS:
        cli_progress_show(cli->err, message->body);
        return false;
    case MESSAGE_DONE:
    case MESSAGE_REFUSED:
        cli_progress_clear(cli->err);
        *ret_status = finish(cli, message, answer);
        return true;
    case MESSAGE_SHARE:
    case MESSAGE_IMAGE:
    case MESSAGE_STATUS_REPLY:
    case MESSAGE_PASSWORD:
        if (keep(message, answer) == 0) {
            return false;
        }
        *ret_status = cli_fail(cli, CLI_FAILED, "", "no memory");
        return true;
    default: /* a request, which the broker never makes */
        *ret_status = fail_receive(cli, -EPROTO);
        return true;
    }
}

static enum cli_status converse(struct cli *cli, int fd, struct cli_answer *answer)
{
    for (;;) {
        CLEANUP_MESSAGE struct wire_message message = {0};
        enum cli_status status;
        int error = client_receive(fd, ANSWER_TIMEOUT_MS, &message);
        if (error < 0) {
            cli_progress_clear(cli->err);
            return fail_receive(cli, error);
        }
        if (take(cli, &message, answer, &status)) {
            return status;
        }
    }
}

static enum cli_status ask(struct cli *cli, uint16_t id, const void *body, struct cli_answer *ret)
{
    CLEANUP_CLOSE int fd = client_connect(cli->settings.socket);
    if (fd < 0) {
        return fail_connect(cli, fd);
    }
    const char *field = "";
    int error = client_send(fd, id, body, &field);
    /* A broker that refuses the caller hangs up first: its answer, if any, is still to be read. */
    if (error < 0 && error != -EPIPE && error != -ECONNRESET) {
        return fail_send(cli, error, field);
    }
    return converse(cli, fd, ret);
}

enum cli_status cli_ask_and_print(struct cli *cli, uint16_t id, const void *body,
                                  cli_printer *print)
{
    struct cli_answer answer = {0};
    enum cli_status status = ask(cli, id, body, &answer);
    if (status == CLI_DONE || status == CLI_NOTHING) {
        status = print(cli, &answer, status);
    }
    answer_free(&answer);
    return status;
}
