/* Terminals: termios(3). While one types a password, Ctrl-C is a character like any other, and ends
 * the program only when the terminal is as it was. */
#include "cli_secrets.h"

#include "cleanup.h"
#include "messages.h"

#include <errno.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LINES_MAX   (MESSAGE_PASSWORDS_MAX + 1)
#define INPUT_MAX   (LINES_MAX * (MESSAGE_PASSWORD_MAX + 1))
#define INTERRUPT   0x03
#define QUIT        0x1c
#define INTERRUPTED (CLI_FAILED + 129) /* as a shell counts death by SIGINT */

void cli_secrets_clear(struct texts *secrets)
{
    for (size_t i = 0; i < secrets->count; i++) {
        explicit_bzero(secrets->items[i], strlen(secrets->items[i]));
        free(secrets->items[i]);
    }
    free(secrets->items);
    *secrets = (struct texts){0};
}

static enum cli_status no_memory(struct cli *cli)
{
    return cli_fail(cli, CLI_FAILED, "password", "no memory");
}

/* A line without its end, as the next of them. */
static enum cli_status add_line(struct cli *cli, const char *line, size_t length,
                                struct texts *secrets)
{
    size_t number = secrets->count + 1;

    if (length == 0) {
        return cli_fail(cli, CLI_FAILED, "password",
                        "password %zu is empty; passwords come one a line on standard input",
                        number);
    }
    if (length > MESSAGE_PASSWORD_MAX) {
        return cli_fail(cli, CLI_FAILED, "password", "password %zu is longer than %d bytes", number,
                        MESSAGE_PASSWORD_MAX);
    }
    if (memchr(line, '\0', length) != NULL) {
        return cli_fail(cli, CLI_FAILED, "password", "password %zu holds a NUL byte", number);
    }
    secrets->items[secrets->count] = strndup(line, length);
    if (secrets->items[secrets->count] == NULL) {
        return no_memory(cli);
    }
    secrets->count++;
    return CLI_DONE;
}

/* -- standard input -- */

/* All that there is, but for one byte more than there may be. */
static ssize_t read_all(char *buffer, size_t size)
{
    size_t length = 0;

    while (length < size) {
        ssize_t got = read(STDIN_FILENO, buffer + length, size - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? -errno : (ssize_t)length;
        }
        length += (size_t)got;
    }
    return (ssize_t)length;
}

static enum cli_status split_lines(struct cli *cli, const char *text, size_t length,
                                   const struct cli_secrets_wanted *wanted, struct texts *secrets)
{
    enum cli_status status = CLI_DONE;

    while (status == CLI_DONE && length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t line = end != NULL ? (size_t)(end - text) : length;
        if (secrets->count == wanted->most) {
            return cli_fail(cli, CLI_FAILED, "password",
                            "there are more than %zu passwords on standard input, one a line",
                            wanted->most);
        }
        status = add_line(cli, text, line, secrets);
        text += line + (end != NULL);
        length -= line + (end != NULL);
    }
    return status;
}

static enum cli_status read_lines(struct cli *cli, const struct cli_secrets_wanted *wanted,
                                  struct texts *secrets)
{
    char buffer[INPUT_MAX + 1];
    ssize_t length = read_all(buffer, sizeof buffer);
    enum cli_status status;

    if (length < 0) {
        status = cli_fail(cli, CLI_FAILED, "password", "standard input cannot be read: %s",
                          strerror((int)-length));
    } else if (length > INPUT_MAX) {
        status = cli_fail(cli, CLI_FAILED, "password",
                          "there is more on standard input than %d passwords of %d bytes",
                          LINES_MAX, MESSAGE_PASSWORD_MAX);
    } else {
        status = split_lines(cli, buffer, (size_t)length, wanted, secrets);
    }
    explicit_bzero(buffer, sizeof buffer);
    return status;
}

/* -- a terminal -- */

/* One line of it, without its end; -EINTR: the user wants to go. */
static ssize_t read_line(char *buffer, size_t size)
{
    ssize_t got;

    do {
        got = read(STDIN_FILENO, buffer, size);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return -errno;
    }
    if (memchr(buffer, INTERRUPT, (size_t)got) || memchr(buffer, QUIT, (size_t)got)) {
        return -EINTR;
    }
    return got > 0 && buffer[got - 1] == '\n' ? got - 1 : got;
}

/* Asks for one; `length` 0 when the answer is empty. */
static ssize_t ask(const struct cli *cli, const char *prompt, char *buffer, size_t size)
{
    struct termios before, silent;

    if (tcgetattr(STDIN_FILENO, &before) < 0) {
        return -errno;
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) < 0) {
        return -errno;
    }
    fprintf(cli->err, "%s", prompt); /* what is typed from now on counts */
    fflush(cli->err);
    ssize_t length = read_line(buffer, size);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fprintf(cli->err, "\n");
    return length;
}

static enum cli_status ask_failed(struct cli *cli, int error)
{
    return error == -EINTR ? (enum cli_status)INTERRUPTED
                           : cli_fail(cli, CLI_FAILED, "password",
                                      "the terminal cannot be read: %s", strerror(-error));
}

/* What was typed first must be typed again. */
static enum cli_status ask_again(struct cli *cli, const char *first)
{
    char buffer[MESSAGE_PASSWORD_MAX + 2];
    ssize_t length = ask(cli, "The same again: ", buffer, sizeof buffer);
    enum cli_status status = length < 0 ? ask_failed(cli, (int)length) : CLI_DONE;

    if (length >= 0 &&
        ((size_t)length != strlen(first) || memcmp(buffer, first, (size_t)length) != 0)) {
        status =
            cli_fail(cli, CLI_FAILED, "password", "the two passwords differ; nothing was done");
    }
    explicit_bzero(buffer, sizeof buffer);
    return status;
}

static enum cli_status ask_all(struct cli *cli, const struct cli_secrets_wanted *wanted,
                               struct texts *secrets)
{
    const char *const *prompt = wanted->prompts;
    enum cli_status status = CLI_DONE;

    while (status == CLI_DONE && secrets->count < wanted->most) {
        char buffer[MESSAGE_PASSWORD_MAX + 2];
        ssize_t length = ask(cli, *prompt, buffer, sizeof buffer);
        if (length == 0 && secrets->count >= wanted->least) {
            return CLI_DONE;
        }
        status = length < 0 ? ask_failed(cli, (int)length)
                            : add_line(cli, buffer, (size_t)length, secrets);
        explicit_bzero(buffer, sizeof buffer);
        if (status == CLI_DONE && wanted->again && secrets->count == 1) {
            status = ask_again(cli, secrets->items[0]);
        }
        prompt += prompt[1] != NULL;
    }
    return status;
}

enum cli_status cli_secrets_read(struct cli *cli, const struct cli_secrets_wanted *wanted,
                                 struct texts *ret)
{
    CLEANUP_SECRETS struct texts secrets = {calloc(LINES_MAX, sizeof(char *)), 0};

    if (secrets.items == NULL) {
        return no_memory(cli);
    }
    enum cli_status status =
        isatty(STDIN_FILENO) ? ask_all(cli, wanted, &secrets) : read_lines(cli, wanted, &secrets);
    if (status == CLI_DONE && secrets.count < wanted->least) {
        status = cli_fail(cli, CLI_FAILED, "password",
                          "there is no password on standard input, one a line");
    }
    if (status == CLI_DONE) {
        *ret = secrets;
        secrets = (struct texts){0};
    }
    return status;
}
