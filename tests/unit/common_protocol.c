/*
 * docs/protocol.md against the tables in common/messages.c: the same messages, ids, fields, kinds
 * and bounds in the same order. Compared are its third-level headings and the rows that begin with
 * a field's name; the rest of the page is prose.
 */
#include "test.h"

#include "cleanup.h"
#include "messages.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>

#define PAGE CDSS_SOURCE "/docs/protocol.md"

static const char *const kind_names[] = {
    [WIRE_U32] = "U32",         [WIRE_U64] = "U64",     [WIRE_TEXT] = "TEXT",
    [WIRE_SECRET] = "SECRET",   [WIRE_TEXTS] = "TEXTS", [WIRE_SECRETS] = "SECRETS",
    [WIRE_RECORDS] = "RECORDS",
};

struct page {
    FILE *file;
    char line[1024];
    int number;
};

/* "share_image" of "message_share_image". */
static const char *short_name(const struct wire_record *record)
{
    return record->name + strlen("message_");
}

/* The next heading or field of the page; false at its end. */
static bool next_line(struct page *page)
{
    while (fgets(page->line, sizeof page->line, page->file) != NULL) {
        page->number++;
        page->line[strcspn(page->line, "\n")] = '\0';
        if (strncmp(page->line, "### ", 4) == 0 || strncmp(page->line, "| `", 3) == 0) {
            return true;
        }
    }
    return false;
}

static void expect(struct page *page, const char *want, bool whole)
{
    bool found = next_line(page);
    bool same = found && (whole ? strcmp(page->line, want) == 0
                                : strncmp(page->line, want, strlen(want)) == 0);
    if (!same) {
        printf("# protocol.md:%d: \"%s\" should be \"%s\"\n", page->number,
               found ? page->line : "(the end)", want);
    }
    CHECK(same);
}

static void expect_fields(struct page *page, const struct wire_record *record)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        CLEANUP_TEXT struct text want = {0};
        text_format(&want, "| `%s` | %s", field->name, kind_names[field->kind]);
        if (field->item_max > 0) {
            text_format(&want, " of %" PRIu64, field->item_max);
        }
        if (field->record != NULL) {
            text_format(&want, " of %s", short_name(field->record));
        }
        text_format(&want, " | %" PRIu64 " | %" PRIu64 " | ", field->min, field->max);
        expect(page, want.data, false);
    }
}

static void expect_inner(struct page *page, const struct wire_record *record)
{
    for (size_t i = 0; record != NULL && i < record->n_fields; i++) {
        const struct wire_record *inner = record->fields[i].record;
        if (inner != NULL) {
            CLEANUP_TEXT struct text want = {0};
            text_format(&want, "### %s", short_name(inner));
            expect(page, want.data, true);
            expect_fields(page, inner);
        }
    }
}

static void tables_agree(void)
{
    CLEANUP_FILE FILE *file = fopen(PAGE, "re");
    struct page page = {.file = file};
    CHECK(file != NULL);
    if (file == NULL) {
        return;
    }
    for (size_t i = 0; i < message_table_size; i++) {
        CLEANUP_TEXT struct text want = {0};
        text_format(&want, "### %s (%u)", message_table[i].name, message_table[i].id);
        expect(&page, want.data, true);
        if (message_table[i].record != NULL) {
            expect_fields(&page, message_table[i].record);
        }
    }
    for (size_t i = 0; i < message_table_size; i++) {
        expect_inner(&page, message_table[i].record);
    }
    CHECK(!next_line(&page));
}

TEST_MAIN({"docs/protocol.md and the message table agree", tables_agree})
