/* Nothing is written down twice: a new row in a table is in the help, too. */
#include "cli_help.h"

#include "table.h"

#include <string.h>

static const struct table_column two_columns[] = {{NULL, false}, {NULL, false}};

static void add_option_usage(const struct cli_option *row, bool needed, struct text *out)
{
    text_format(out, needed ? " --%s" : " [--%s", row->name);
    if (row->value != NULL) {
        text_format(out, " %s", row->value);
    }
    text_add(out, needed ? "" : "]");
    text_add(out, row->is_list && row->separator == '\0' ? "..." : "");
}

static void add_words(const struct cli_command *command, struct text *out)
{
    text_format(out, "%s%s%s%s%s", command->group != NULL ? command->group : "",
                command->group != NULL ? " " : "", command->word,
                command->operand != NULL ? " " : "",
                command->operand != NULL ? command->operand : "");
}

static void add_usage(const struct cli_command *command, struct text *out)
{
    text_add(out, "cdss ");
    add_words(command, out);
    for (unsigned i = 0; i < OPTIONS_COUNT; i++) {
        if ((command->takes & OPTION_BIT(i)) != 0) {
            add_option_usage(&cli_option_table[i], (command->needs & OPTION_BIT(i)) != 0, out);
        }
    }
}

struct cli_usage cli_help_usage(const struct cli_command *command)
{
    CLEANUP_TEXT struct text text = {0};
    struct cli_usage usage = {""};
    add_usage(command, &text);
    if (text_ok(&text)) {
        text_copy(usage.text, sizeof usage.text, text.data);
    }
    return usage;
}

static void add_options(uint32_t bits, struct text *out)
{
    CLEANUP_TABLE struct table table;
    table_begin(&table, two_columns, 2);
    for (unsigned i = 0; i < OPTIONS_COUNT; i++) {
        const struct cli_option *row = &cli_option_table[i];
        if ((bits & OPTION_BIT(i)) == 0) {
            continue;
        }
        char letter[] = {'-', row->letter, ',', ' ', '\0'};
        table_cell_format(&table, "%s--%s%s%s", row->letter != 0 ? letter : "", row->name,
                          row->value != NULL ? " " : "", row->value != NULL ? row->value : "");
        table_cell(&table, row->help);
    }
    table_draw(&table, "  ", out);
}

/* group NULL: all. Returns how many there were. */
static size_t add_commands(const char *group, struct text *out)
{
    CLEANUP_TABLE struct table table;
    table_begin(&table, two_columns, 2);
    for (const struct cli_command *row = cli_command_table; row->word != NULL; row++) {
        if (group != NULL && (row->group == NULL || strcmp(row->group, group) != 0)) {
            continue;
        }
        CLEANUP_TEXT struct text words = {0};
        add_words(row, &words);
        table_cell(&table, words.data != NULL ? words.data : "");
        table_cell(&table, row->summary);
    }
    table_draw(&table, "  ", out);
    return table.n_cells;
}

void cli_help(struct text *out)
{
    text_add(out, "usage: cdss [OPTION...] COMMAND\n\n"
                  "Shares images from the repository with the addresses that you name, and with\n"
                  "nobody else, for a limited time.\n\ncommands:\n");
    add_commands(NULL, out);
    text_add(out, "\noptions of every command:\n");
    add_options(OPTIONS_COMMON | OPTION_BIT(OPTION_VERSION), out);
    text_add(out,
             "\n'cdss COMMAND --help' says more. Exit status: 0 done, 3 there was nothing to do,"
             "\n1 refused or failed, 2 wrong usage.\n");
}

bool cli_help_group(const char *group, struct text *out)
{
    CLEANUP_TEXT struct text commands = {0};
    if (group == NULL || add_commands(group, &commands) == 0) {
        return false;
    }
    text_format(out,
                "usage: cdss %s COMMAND\n\ncommands:\n%s\n'cdss %s COMMAND --help' says more.\n",
                group, commands.data, group);
    return true;
}

void cli_help_command(const struct cli_command *command, struct text *out)
{
    text_add(out, "usage: ");
    add_usage(command, out);
    text_format(out, "\n\n%c%s.\n", command->summary[0] - 'a' + 'A', command->summary + 1);
    if (command->details != NULL) {
        text_format(out, "\n%s", command->details);
    }
    text_add(out, "\noptions:\n");
    add_options(command->takes | OPTIONS_COMMON, out);
}
