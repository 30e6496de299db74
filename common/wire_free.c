/*
 * Letting go of what wire_decode() made, by a table; secrets are wiped before their memory goes
 * back to the heap.
 */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

typedef void member_clear(const struct wire_field *, void *member);

static void clear_number(const struct wire_field *field, void *member)
{
    (void)field;
    (void)member;
}

static void clear_text(const struct wire_field *field, void *member)
{
    char *string = *(char **)member;
    if (string != NULL && (field->kind == WIRE_SECRET || field->kind == WIRE_SECRETS)) {
        explicit_bzero(string, strlen(string));
    }
    free(string);
}

static void clear_texts(const struct wire_field *field, void *member)
{
    struct texts *texts = member;
    for (size_t i = 0; i < texts->count; i++) {
        clear_text(field, &texts->items[i]);
    }
    free(texts->items);
}

static void clear_records(const struct wire_field *field, void *member)
{
    struct records *records = member;
    for (size_t i = 0; i < records->count; i++) {
        wire_free_record(field->record, (char *)records->items + i * field->record->size);
    }
    free(records->items);
}

static member_clear *const clearers[] = {
    [WIRE_U32] = clear_number,      [WIRE_U64] = clear_number,  [WIRE_TEXT] = clear_text,
    [WIRE_SECRET] = clear_text,     [WIRE_TEXTS] = clear_texts, [WIRE_SECRETS] = clear_texts,
    [WIRE_RECORDS] = clear_records,
};

void wire_free_record(const struct wire_record *record, void *body)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        clearers[field->kind](field, (char *)body + field->offset);
    }
    memset(body, 0, record->size);
}

void wire_free(struct wire_message *message)
{
    if (message->body != NULL) {
        wire_free_record(message->record, message->body);
        free(message->body);
    }
    *message = (struct wire_message){0};
}
