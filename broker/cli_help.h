/*
 * Usage texts, written from the tables of commands and options.
 */
#pragma once

#include "cli.h"

extern const struct cli_command cli_command_table[]; /* ends with a row without word */

struct cli_usage {
    char text[400];
};

/* "cdss share extend USER --for DURATION", cut where it does not fit. */
struct cli_usage cli_help_usage(const struct cli_command *command);

void cli_help(struct text *out);
/* The commands of "share" or "image"; false when there is no such group (NULL: neither). */
bool cli_help_group(const char *group, struct text *out);
void cli_help_command(const struct cli_command *command, struct text *out);
