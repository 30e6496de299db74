/*
 * Passwords for a command: one a line on standard input, or, where that is a terminal, asked for
 * without an echo. Never arguments, which everybody on the host can read.
 */
#pragma once

#include "cli.h"

#define CLEANUP_SECRETS __attribute__((cleanup(cli_secrets_clear)))

/* How many lines there must be, and may be. */
struct cli_secrets_wanted {
    size_t least, most;
    /* On a terminal: asked for one after the other; behind the last prompt, until an empty line.
     * With `again` the first is asked for twice. */
    const char *const *prompts; /* NULL-terminated */
    bool again;
};

/* Reads them. CLI_DONE with *ret, or a status after saying what is wrong. */
enum cli_status cli_secrets_read(struct cli *cli, const struct cli_secrets_wanted *wanted,
                                 struct texts *ret);
/* Wipes and frees them. */
void cli_secrets_clear(struct texts *secrets);
