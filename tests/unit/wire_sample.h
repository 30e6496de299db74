/*
 * Bodies of any record of the wire's tables, made by the table, and a second encoder of the layout
 * in docs/protocol.md that checks nothing: what it writes of a bad body must be refused.
 */
#pragma once

#include "wire.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum sample_size { SAMPLE_LEAST, SAMPLE_SOME, SAMPLE_MOST };

static inline uint64_t sample_choose(enum sample_size size, uint64_t least, uint64_t most,
                                     uint64_t some)
{
    if (size == SAMPLE_SOME) {
        return some < least ? least : some > most ? most : some;
    }
    return size == SAMPLE_LEAST ? least : most;
}

static inline char *sample_string(size_t length)
{
    char *string = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        string[i] = (char)('a' + i % 26);
    }
    string[length] = '\0';
    return string;
}

static inline void sample_set_text(char **member, size_t length)
{
    free(*member);
    *member = sample_string(length);
}

static inline void sample_set_texts(struct texts *texts, size_t count, size_t item_length)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->items[i]);
    }
    free(texts->items);
    texts->items = count > 0 ? calloc(count, sizeof *texts->items) : NULL;
    texts->count = count;
    for (size_t i = 0; i < count; i++) {
        texts->items[i] = sample_string(item_length);
    }
}

static inline void sample_fill(const struct wire_record *record, void *body, enum sample_size size);

static inline void sample_set_records(const struct wire_record *inner, struct records *records,
                                      size_t count, enum sample_size size)
{
    for (size_t i = 0; i < records->count; i++) {
        wire_free_record(inner, (char *)records->items + i * inner->size);
    }
    free(records->items);
    records->items = count > 0 ? calloc(count, inner->size) : NULL;
    records->count = count;
    for (size_t i = 0; i < count; i++) {
        sample_fill(inner, (char *)records->items + i * inner->size, size);
    }
}

static inline void sample_fill(const struct wire_record *record, void *body, enum sample_size size)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        void *member = (char *)body + field->offset;
        switch (field->kind) {
        case WIRE_U32:
            *(uint32_t *)member = (uint32_t)sample_choose(size, field->min, field->max, 0x01020304);
            break;
        case WIRE_U64:
            *(uint64_t *)member =
                sample_choose(size, field->min, field->max, UINT64_C(0x0102030405060708));
            break;
        case WIRE_TEXT:
        case WIRE_SECRET:
            sample_set_text(member, sample_choose(size, field->min, field->max, 7));
            break;
        case WIRE_TEXTS:
        case WIRE_SECRETS:
            sample_set_texts(member, sample_choose(size, field->min, field->max, 3),
                             sample_choose(size, 1, field->item_max, 5));
            break;
        case WIRE_RECORDS:
            sample_set_records(field->record, member,
                               sample_choose(size, field->min, field->max, 2), size);
            break;
        }
    }
}

static inline void sample_pack_number(struct text *out, uint64_t value, size_t bytes)
{
    uint64_t big = htobe64(value);
    text_append(out, (const char *)&big + 8 - bytes, bytes);
}

static inline void sample_pack_string(struct text *out, const char *string)
{
    sample_pack_number(out, strlen(string), 4);
    text_append(out, string, strlen(string));
}

static inline void sample_pack_record(struct text *out, const struct wire_record *record,
                                      const void *body)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        const void *member = (const char *)body + field->offset;
        const struct texts *texts = member;
        const struct records *records = member;
        switch (field->kind) {
        case WIRE_U32:
            sample_pack_number(out, *(const uint32_t *)member, 4);
            break;
        case WIRE_U64:
            sample_pack_number(out, *(const uint64_t *)member, 8);
            break;
        case WIRE_TEXT:
        case WIRE_SECRET:
            sample_pack_string(out, *(char *const *)member);
            break;
        case WIRE_TEXTS:
        case WIRE_SECRETS:
            sample_pack_number(out, texts->count, 2);
            for (size_t j = 0; j < texts->count; j++) {
                sample_pack_string(out, texts->items[j]);
            }
            break;
        case WIRE_RECORDS:
            sample_pack_number(out, records->count, 2);
            for (size_t j = 0; j < records->count; j++) {
                sample_pack_record(out, field->record,
                                   (const char *)records->items + j * field->record->size);
            }
            break;
        }
    }
}

static inline void sample_pack(struct text *out, uint16_t id, const struct wire_record *record,
                               const void *body)
{
    sample_pack_number(out, WIRE_MAGIC, 2);
    sample_pack_number(out, WIRE_VERSION, 2);
    sample_pack_number(out, id, 2);
    sample_pack_number(out, 0, 2);
    if (record != NULL) {
        sample_pack_record(out, record, body);
    }
}

/* A body of the record, or NULL for none; let go with sample_free(). */
static inline void *sample_new(const struct wire_record *record, enum sample_size size)
{
    if (record == NULL) {
        return NULL;
    }
    void *body = calloc(1, record->size);
    sample_fill(record, body, size);
    return body;
}

static inline void sample_free(const struct wire_record *record, void *body)
{
    if (record != NULL) {
        wire_free_record(record, body);
        free(body);
    }
}
