/* One share in full: what, to whom, until when, what to type, and what is not as one might expect.
 */
#include "cleanup.h"
#include "cli_print.h"
#include "table.h"

#include <string.h>
#include <time.h>

static void add_local_time(struct text *out, uint64_t seconds)
{
    char buffer[64] = "?";
    time_t when = (time_t)seconds;
    struct tm local;
    if (localtime_r(&when, &local) != NULL) {
        strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M %Z", &local);
    }
    text_add(out, buffer);
}

static void add_printable(struct text *out, const char *string)
{
    text_add_printable(out, string, strlen(string));
}

static void add_heading(const struct message_share *share, struct text *out)
{
    text_add(out, "Share ");
    add_printable(out, share->user);
    text_add(out, " is ");
    add_printable(out, share->state);
    text_add(out, " until ");
    add_local_time(out, share->ends);
    text_add(out, " (");
    text_add_duration(out, share->remaining);
    text_add(out, " left), asked for by ");
    add_printable(out, share->requester);
    text_add(out, ".\n");
}

static void add_clients(const struct message_share *share, struct text *out)
{
    text_add(out, "\nFor ");
    for (size_t i = 0; i < share->clients.count; i++) {
        text_add(out, i > 0 ? ", " : "");
        add_printable(out, share->clients.items[i]);
    }
    text_add(out, ", and nobody else.\n");
}

static int add_images(const struct message_share *share, struct text *out)
{
    static const struct table_column columns[] = {
        {"IMAGE", false}, {"SIZE", true}, {"KIND", false}, {"CONTENTS IN", false}};
    CLEANUP_TABLE struct table table;
    const struct message_share_image *images = share->images.items;
    table_begin(&table, columns, ARRAY_SIZE(columns));
    for (size_t i = 0; i < share->images.count; i++) {
        table_cell(&table, images[i].path);
        table_cell_size(&table, images[i].size);
        table_cell(&table, images[i].type);
        if (images[i].contents[0] != '\0') {
            table_cell_format(&table, "%s/", images[i].contents);
        } else {
            table_cell(&table, "-");
        }
    }
    text_add(out, "\n");
    return table_draw(&table, "", out);
}

/* Why contents are not there. */
static void add_notes(const struct message_share *share, struct text *out)
{
    const struct message_share_image *images = share->images.items;
    bool any = false;
    for (size_t i = 0; i < share->images.count; i++) {
        if (images[i].note[0] == '\0') {
            continue;
        }
        text_add(out, any ? "" : "\nMind:\n");
        text_add(out, "  ");
        add_printable(out, images[i].path);
        text_add(out, ": ");
        add_printable(out, images[i].note);
        text_add(out, "\n");
        any = true;
    }
}

static int add_protocols(const struct message_share *share, struct text *out)
{
    static const struct table_column columns[] = {
        {"PROTOCOL", false}, {"PORTS", false}, {"SERVED", true}, {"STATE", false}};
    CLEANUP_TABLE struct table table;
    const struct message_share_protocol *protocols = share->protocols.items;
    table_begin(&table, columns, ARRAY_SIZE(columns));
    for (size_t i = 0; i < share->protocols.count; i++) {
        table_cell(&table, protocols[i].title);
        table_cell(&table, protocols[i].ports);
        table_cell_format(&table, "%llu", (unsigned long long)protocols[i].connections);
        table_cell(&table, protocols[i].state);
    }
    text_add(out, "\n");
    return table_draw(&table, "", out);
}

static int add_lines(const struct message_share *share, struct text *out)
{
    static const struct table_column columns[] = {{NULL, false}, {NULL, false}, {NULL, false}};
    CLEANUP_TABLE struct table table;
    const struct message_share_line *lines = share->lines.items;
    table_begin(&table, columns, ARRAY_SIZE(columns));
    for (size_t i = 0; i < share->lines.count; i++) {
        bool same = i > 0 && strcmp(lines[i].protocol, lines[i - 1].protocol) == 0;
        table_cell(&table, same ? "" : lines[i].protocol);
        table_cell(&table, lines[i].label);
        table_cell(&table, lines[i].text);
    }
    text_add(out, share->lines.count > 0 ? "\nOn a client:\n" : "");
    return table_draw(&table, "  ", out);
}

static void add_sentence(const struct cli_answer *answer, struct text *out)
{
    if (answer->sentence[0] != '\0') {
        add_printable(out, answer->sentence);
        text_add(out, "\n\n");
    }
}

enum cli_status cli_print_share(struct cli *cli, const struct cli_answer *answer,
                                enum cli_status status)
{
    CLEANUP_TEXT struct text out = {0};
    if (answer->count == 0 || answer->records[0].id != MESSAGE_SHARE) {
        return cli_print_outcome(cli, answer, status);
    }
    if (cli_given(cli, OPTION_JSON)) {
        return cli_print_json_record(cli, &answer->records[0], status);
    }
    const struct message_share *share = answer->records[0].body;
    add_sentence(answer, &out);
    add_heading(share, &out);
    add_clients(share, &out);
    if (add_images(share, &out) < 0 || add_protocols(share, &out) < 0 ||
        add_lines(share, &out) < 0) {
        return cli_fail(cli, CLI_FAILED, "", "no memory");
    }
    add_notes(share, &out);
    return cli_write(cli, &out, status);
}
