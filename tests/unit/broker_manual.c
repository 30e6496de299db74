/*
 * The manual against the tables that the programs work from: commands and options in cdss(1); keys,
 * defaults and bounds in cdss.conf(5) and in the configuration that is installed; keys of
 * definitions in docs/definitions.md, of which cdss-definition(5) is made. (docs/protocol.md has a
 * test of its own, common_protocol.c.)
 */
#include "cleanup.h"
#include "cli_help.h"
#include "conf.h"
#include "definition.h"
#include "settings.h"
#include "test.h"
#include "text.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>

#define CDSS_1      "/docs/man/cdss.1"
#define CONF_5      "/docs/man/cdss.conf.5"
#define CONF        "/broker/cdss.conf"
#define DEFINITIONS "/docs/definitions.md"

static char *read_page(const char *name)
{
    char path[1024], *text = NULL;
    size_t length;
    snprintf(path, sizeof path, "%s%s", CDSS_SOURCE, name);
    CHECK(text_read_file(AT_FDCWD, path, 1 << 20, &text, &length) == 0);
    return text != NULL ? text : calloc(1, 1);
}

/* "said" stands in the text, as whole lines. */
static void expect_lines(const char *page, const char *text, const char *said)
{
    size_t length = strlen(said);
    for (const char *at = text; (at = strstr(at, said)) != NULL; at++) {
        if ((at == text || at[-1] == '\n') && at[length] == '\n') {
            return;
        }
    }
    printf("# %s should have:\n", page);
    for (const char *c = said; *c != '\0'; c += strcspn(c, "\n"), c += *c == '\n') {
        printf("#   %.*s\n", (int)strcspn(c, "\n"), c);
    }
    CHECK(!"found");
}

static size_t count_lines(const char *text, const char *begin)
{
    size_t count = 0, length = strlen(begin);
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line != 0) {
        count += strncmp(line, begin, length) == 0;
    }
    return count;
}

/* Values are called in capitals in the help, and in small letters in manuals. */
static void add_small(struct text *out, const char *word)
{
    for (; *word != '\0'; word++) {
        text_format(out, "%c", tolower((unsigned char)*word));
    }
}

static void add_option(struct text *out, const struct cli_option *row, bool needed)
{
    text_format(out, "\n.%sFl -%s", needed ? "" : "Op ", row->name);
    if (row->value != NULL) {
        text_add(out, " Ar ");
        add_small(out, row->value);
    }
    text_add(out, row->is_list && row->separator == '\0' ? " ..." : "");
}

/* "USER", "[PATTERN]", "PATH LABEL" */
static void add_operands(struct text *out, const char *operands)
{
    while (operands != NULL && *operands != '\0') {
        size_t length = strcspn(operands, " ");
        bool optional = operands[0] == '[';
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)(length - 2 * optional), operands + optional);
        text_format(out, "\n.%sAr ", optional ? "Op " : "");
        add_small(out, word);
        operands += length + (operands[length] == ' ');
    }
}

static void commands_agree(void)
{
    CLEANUP_FREE char *page = read_page(CDSS_1);
    size_t count = 0;
    for (const struct cli_command *row = cli_command_table; row->word != NULL; row++, count++) {
        CLEANUP_TEXT struct text synopsis = {0};
        CLEANUP_TEXT struct text item = {0};
        const char *group = row->group != NULL ? row->group : "";
        const char *blank = row->group != NULL ? " " : "";
        text_format(&synopsis, ".Nm\n.Cm %s%s%s", group, blank, row->word);
        add_operands(&synopsis, row->operand);
        for (unsigned i = 0; i < OPTIONS_COUNT; i++) {
            if ((row->takes & OPTION_BIT(i)) != 0) {
                add_option(&synopsis, &cli_option_table[i], (row->needs & OPTION_BIT(i)) != 0);
            }
        }
        expect_lines(CDSS_1, page, synopsis.data);
        text_format(&item, ".It Cm %s%s%s", group, blank, row->word);
        expect_lines(CDSS_1, page, item.data);
    }
    CHECK(count_lines(page, ".It Cm ") == count);
}

static void options_agree(void)
{
    CLEANUP_FREE char *page = read_page(CDSS_1);
    for (unsigned i = 0; i < OPTIONS_COUNT; i++) {
        const struct cli_option *row = &cli_option_table[i];
        CLEANUP_TEXT struct text item = {0};
        text_add(&item, ".It Fl ");
        if (row->letter != 0) {
            text_format(&item, "%c , Fl ", row->letter);
        }
        text_format(&item, "-%s", row->name);
        if (row->value != NULL) {
            text_add(&item, " Ar ");
            add_small(&item, row->value);
        }
        expect_lines(CDSS_1, page, item.data);
    }
    CHECK(count_lines(page, ".It Fl ") == OPTIONS_COUNT);
}

/* --- settings --- */

static struct {
    char *page, *file;
    size_t count;
} settings_text;

/* A copy of what is behind the line that `begin` leads to, up to `end`. NULL when there is none. */
static char *part(const char *text, const char *begin, const char *end)
{
    const char *from = text != NULL ? strstr(text, begin) : NULL;
    if (from == NULL) {
        return NULL;
    }
    from += 1 + strcspn(from + 1, "\n");
    const char *to = strstr(from, end);
    return strndup(from, to != NULL ? (size_t)(to - from) : strlen(from));
}

static void expect_bounds(const struct conf_key *row, const char *item)
{
    char bounds[64];
    snprintf(bounds, sizeof bounds, "%llu to %llu", (unsigned long long)row->min,
             (unsigned long long)row->max);
    if (row->min > 0 || row->set == conf_set_uint32) {
        if (strstr(item, bounds) == NULL && row->set != conf_set_duration && row->max > 0) {
            printf("# " CONF_5 ": [%s] %s should say \"%s\"\n", row->section, row->key, bounds);
            CHECK(!"bounds");
        }
    }
}

static void look_up(const struct conf_key *row, const char *value, void *user_data)
{
    CLEANUP_TEXT struct text section = {0};
    CLEANUP_TEXT struct text item = {0};
    CLEANUP_TEXT struct text line = {0};
    (void)user_data;
    text_format(&section, "\n.Ss [%s]\n", row->section);
    CLEANUP_FREE char *keys = part(settings_text.page, section.data, "\n.S");
    text_format(&item, ".It Cm %s No =%s%s%s", row->key, *value != '\0' ? " " : "",
                *value == '/' ? "Pa " : "", value);
    expect_lines(CONF_5, keys != NULL ? keys : "", item.data);
    CLEANUP_FREE char *says = part(keys, item.data, "\n.It");
    for (char *c = says; c != NULL && (c = strchr(c, '\n')) != NULL;) {
        *c = ' ';
    }
    expect_bounds(row, says != NULL ? says : "");
    text_format(&line, "#%s=%s", row->key, value);
    expect_lines(CONF, settings_text.file, line.data);
    settings_text.count++;
}

static void settings_agree(void)
{
    CLEANUP_FREE char *page = read_page(CONF_5);
    CLEANUP_FREE char *file = read_page(CONF);
    CLEANUP_FREE char *web = part(page, "\n.Ss [web]\n", "\n.S");
    settings_text.page = page;
    settings_text.file = file;
    settings_each_key(look_up, NULL);
    /* Beside the table: [ports] http, and what the web form reads itself. */
    CHECK(count_lines(page, ".It Cm ") - count_lines(web, ".It Cm ") ==
          settings_text.count + 1 - count_lines(web, ".It Cm trusted_proxies"));
}

static void definitions_agree(void)
{
    CLEANUP_FREE char *page = read_page(DEFINITIONS);
    CLEANUP_FREE char *keys = part(page, "\n## [server]\n", "\n**Ports.**");
    for (size_t i = 0; i < definition_keys_count; i++) {
        CLEANUP_TEXT struct text line = {0};
        text_format(&line, "| `%s` | ", definition_keys[i].key);
        if (count_lines(keys, line.data) != 1) {
            printf("# " DEFINITIONS " should have one row of %s\n", definition_keys[i].key);
            CHECK(!"found");
        }
    }
    CHECK(count_lines(keys, "| `") == definition_keys_count);
}

TEST_MAIN({"cdss(1) has the commands of cdss", commands_agree},
          {"cdss(1) has the options of cdss", options_agree},
          {"cdss.conf(5) and cdss.conf have the keys, defaults and bounds", settings_agree},
          {"docs/definitions.md has the keys of definitions", definitions_agree})
