/*
 * `cdss`, the administrator's command line: a table of commands (cli.c), the options (cli_options),
 * the conversation with the broker (cli_call), what a command asks for (cli_share, cli_site), and
 * how answers look (cli_print).
 */
#pragma once

#include "cli_options.h"
#include "settings.h"

#include <stdio.h>

/* Exit statuses. The broker's `outcome` is one of DONE and NOTHING. */
enum cli_status { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NOTHING = 3 };

struct cli;

struct cli_command {
    const char *group, *word; /* "share" "create"; a command of one word has no group */
    const char *operand;      /* "USER", "[PATTERN]", "PATH LABEL", or NULL */
    uint32_t takes, needs;    /* option bits beside the common ones */
    enum cli_status (*run)(struct cli *cli);
    const char *summary; /* one line */
    const char *details; /* for its --help; whole lines, or NULL */
};

/* One run of the program. */
struct cli {
    FILE *out, *err; /* borrowed */
    struct cli_arguments arguments;
    const struct cli_command *command;
    const char *operand, *second; /* borrowed from arguments; NULL when there is none */
    struct settings settings;
};

/* The whole of main(): returns the exit status. Sets LC_CTYPE to UTF-8. */
int cli_run(int argc, char **argv, FILE *out, FILE *err);

/* Says on err what went wrong, and with --json on out too: {"error": {"field", "message"}}. The
 * sentence begins in lower case ("the broker ..."). Returns `status`. */
enum cli_status cli_fail(struct cli *cli, enum cli_status status, const char *field,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Writes text to out; CLI_FAILED when that fails, otherwise `status`. */
enum cli_status cli_write(struct cli *cli, const struct text *text, enum cli_status status);

static inline bool cli_given(const struct cli *cli, enum cli_option_id option)
{
    return (cli->arguments.given & OPTION_BIT(option)) != 0;
}

/* The commands. */
enum cli_status cli_share_create(struct cli *cli);
enum cli_status cli_share_list(struct cli *cli);
enum cli_status cli_share_show(struct cli *cli);
enum cli_status cli_share_remove(struct cli *cli);
enum cli_status cli_share_extend(struct cli *cli);
enum cli_status cli_share_add(struct cli *cli);
enum cli_status cli_image_list(struct cli *cli);
enum cli_status cli_password_add(struct cli *cli);
enum cli_status cli_password_remove(struct cli *cli);
enum cli_status cli_password_list(struct cli *cli);
enum cli_status cli_reap(struct cli *cli);
enum cli_status cli_show_status(struct cli *cli);
enum cli_status cli_doctor(struct cli *cli);
