/* Lists, the state of the broker, and outcomes. One share in full is cli_print_share.c. */
#include "cli_print.h"

#include "cleanup.h"
#include "json.h"
#include "table.h"

#include <string.h>
#include <time.h>

/* Appends {"KEY": [records...]}. */
static void add_json_list(const struct cli_answer *answer, const char *key, struct text *out)
{
    struct json json;
    json_begin(&json, out);
    json_object(&json, NULL);
    json_array(&json, key);
    for (size_t i = 0; i < answer->count; i++) {
        json_object(&json, NULL);
        wire_json(answer->records[i].record, answer->records[i].body, &json);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_end_object(&json);
    text_add(out, "\n");
}

static enum cli_status print_json_outcome(struct cli *cli, const struct cli_answer *answer,
                                          enum cli_status status)
{
    CLEANUP_TEXT struct text out = {0};
    struct json json;
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_string(&json, "outcome", status == CLI_NOTHING ? "nothing to do" : "done");
    json_string(&json, "message", answer->sentence);
    json_end_object(&json);
    text_add(&out, "\n");
    return cli_write(cli, &out, status);
}

enum cli_status cli_print_outcome(struct cli *cli, const struct cli_answer *answer,
                                  enum cli_status status)
{
    CLEANUP_TEXT struct text out = {0};
    if (cli_given(cli, OPTION_JSON)) {
        return print_json_outcome(cli, answer, status);
    }
    text_add_printable(&out, answer->sentence, strlen(answer->sentence));
    text_add(&out, out.length > 0 ? "\n" : "");
    return cli_write(cli, &out, status);
}

/* One list command: its key in JSON, its columns, and how a record becomes a row. */
struct listing {
    const char *key;
    const char *none; /* said to people when there is nothing */
    const struct table_column *columns;
    size_t n_columns;
    uint16_t id;
    void (*add_row)(struct table *table, const void *body);
};

static enum cli_status print_listing(struct cli *cli, const struct cli_answer *answer,
                                     enum cli_status status, const struct listing *listing)
{
    CLEANUP_TEXT struct text out = {0};
    CLEANUP_TABLE struct table table;
    table_begin(&table, listing->columns, listing->n_columns);
    if (cli_given(cli, OPTION_JSON)) {
        add_json_list(answer, listing->key, &out);
        return cli_write(cli, &out, status);
    }
    for (size_t i = 0; i < answer->count; i++) {
        if (answer->records[i].id == listing->id) {
            listing->add_row(&table, answer->records[i].body);
        }
    }
    if (table.n_cells == 0 && answer->sentence[0] == '\0') {
        text_format(&out, "%s\n", listing->none);
    } else if (table.n_cells > 0 && table_draw(&table, "", &out) < 0) {
        return cli_fail(cli, CLI_FAILED, "", "no memory");
    }
    text_add_printable(&out, answer->sentence, strlen(answer->sentence));
    text_add(&out, answer->sentence[0] != '\0' ? "\n" : "");
    return cli_write(cli, &out, status);
}

#define LIST_SHOWN 3 /* addresses in a row; the others are counted */

static void add_clients(struct table *table, const struct texts *clients)
{
    CLEANUP_TEXT struct text cell = {0};
    for (size_t i = 0; i < clients->count && i < LIST_SHOWN; i++) {
        text_format(&cell, "%s%s", i > 0 ? " " : "", clients->items[i]);
    }
    if (clients->count > LIST_SHOWN) {
        text_format(&cell, " and %zu more", clients->count - LIST_SHOWN);
    }
    table_cell(table, cell.data != NULL ? cell.data : "");
}

static void add_protocols(struct table *table, const struct records *protocols)
{
    CLEANUP_TEXT struct text cell = {0};
    const struct message_share_protocol *rows = protocols->items;
    for (size_t i = 0; i < protocols->count; i++) {
        text_format(&cell, "%s%s", i > 0 ? " " : "", rows[i].name);
    }
    table_cell(table, cell.data != NULL ? cell.data : "");
}

static void add_share_row(struct table *table, const void *body)
{
    const struct message_share *share = body;
    CLEANUP_TEXT struct text remaining = {0};
    text_add_duration(&remaining, share->remaining);
    table_cell(table, share->user);
    table_cell(table, share->state);
    table_cell(table, remaining.data != NULL ? remaining.data : "");
    table_cell_format(table, "%zu", share->images.count);
    add_protocols(table, &share->protocols);
    add_clients(table, &share->clients);
    table_cell(table, share->requester);
}

enum cli_status cli_print_shares(struct cli *cli, const struct cli_answer *answer,
                                 enum cli_status status)
{
    static const struct table_column columns[] = {
        {"USER", false},      {"STATE", false},   {"ENDS IN", true},       {"IMAGES", true},
        {"PROTOCOLS", false}, {"CLIENTS", false}, {"ASKED FOR BY", false},
    };
    static const struct listing listing = {"shares",      "There are no shares.",
                                           columns,       ARRAY_SIZE(columns),
                                           MESSAGE_SHARE, add_share_row};
    return print_listing(cli, answer, status, &listing);
}

static void add_image_row(struct table *table, const void *body)
{
    const struct message_image *image = body;
    table_cell(table, image->path);
    table_cell_size(table, image->size);
    table_cell(table, image->type);
    table_cell(table, image->mountable ? "yes" : "-");
    table_cell(table, image->is_protected ? "yes" : "-");
}

enum cli_status cli_print_images(struct cli *cli, const struct cli_answer *answer,
                                 enum cli_status status)
{
    static const struct table_column columns[] = {
        {"IMAGE", false}, {"SIZE", true}, {"KIND", false}, {"CONTENTS", false}, {"PASSWORD", false},
    };
    static const struct listing listing = {"images",      "There are no such images.",
                                           columns,       ARRAY_SIZE(columns),
                                           MESSAGE_IMAGE, add_image_row};
    return print_listing(cli, answer, status, &listing);
}

static void add_password_row(struct table *table, const void *body)
{
    const struct message_password *password = body;
    table_cell_format(table, "%u", password->line);
    table_cell(table, password->label);
    table_cell(table, password->method[0] != '\0' ? password->method : password->note);
}

enum cli_status cli_print_passwords(struct cli *cli, const struct cli_answer *answer,
                                    enum cli_status status)
{
    static const struct table_column columns[] = {
        {"LINE", true}, {"LABEL", false}, {"METHOD", false}};
    static const struct listing listing = {"passwords",      "There are no passwords.",
                                           columns,          ARRAY_SIZE(columns),
                                           MESSAGE_PASSWORD, add_password_row};
    return print_listing(cli, answer, status, &listing);
}

static void add_pair(struct table *table, const char *name, const char *value)
{
    table_cell(table, name);
    table_cell(table, value);
}

static void add_count(struct table *table, const char *name, uint32_t count)
{
    table_cell(table, name);
    table_cell_format(table, "%u", count);
}

static void add_started(struct table *table, uint64_t started)
{
    CLEANUP_TEXT struct text since = {0};
    uint64_t now = (uint64_t)time(NULL);
    text_add_duration(&since, now > started ? now - started : 0);
    table_cell(table, "running for");
    table_cell(table, since.data != NULL ? since.data : "");
}

enum cli_status cli_print_status(struct cli *cli, const struct cli_answer *answer,
                                 enum cli_status status)
{
    static const struct table_column columns[] = {{NULL, false}, {NULL, false}};
    CLEANUP_TEXT struct text out = {0};
    CLEANUP_TABLE struct table table;
    table_begin(&table, columns, ARRAY_SIZE(columns));
    if (answer->count == 0 || answer->records[0].id != MESSAGE_STATUS_REPLY) {
        return cli_print_outcome(cli, answer, status);
    }
    if (cli_given(cli, OPTION_JSON)) {
        return cli_print_json_record(cli, &answer->records[0], status);
    }
    const struct message_status *broker = answer->records[0].body;
    table_cell(&table, "version");
    table_cell_format(&table, "%s (%s)", broker->version, broker->commit);
    table_cell(&table, "process");
    table_cell_format(&table, "%llu", (unsigned long long)broker->pid);
    add_started(&table, broker->started);
    add_count(&table, "shares active", broker->active);
    add_count(&table, "shares being prepared", broker->preparing);
    add_count(&table, "shares ending", broker->ending);
    add_count(&table, "images mounted", broker->images_mounted);
    add_count(&table, "ports in use", broker->ports_used);
    add_pair(&table, "firewall", broker->firewall);
    add_pair(&table, "registry", broker->registry);
    if (table_draw(&table, "", &out) < 0) {
        return cli_fail(cli, CLI_FAILED, "", "no memory");
    }
    return cli_write(cli, &out, status);
}

enum cli_status cli_print_json_record(struct cli *cli, const struct wire_message *message,
                                      enum cli_status status)
{
    CLEANUP_TEXT struct text out = {0};
    struct json json;
    json_begin(&json, &out);
    json_object(&json, NULL);
    wire_json(message->record, message->body, &json);
    json_end_object(&json);
    text_add(&out, "\n");
    return cli_write(cli, &out, status);
}
