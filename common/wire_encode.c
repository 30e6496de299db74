/*
 * wire_encode() by a table: one row a kind of field. It goes over the body twice, first to check
 * and to measure, so that a message with secrets is never reallocated half-written.
 */
#include "wire.h"

#include "messages.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct header {
    uint16_t magic, version, id, zero;
};

struct writer {
    unsigned char *data; /* NULL: only measure */
    size_t length;
    const char *field; /* being written */
};

typedef int member_put(struct writer *, const struct wire_field *, const void *member);

static member_put *const writers[WIRE_RECORDS + 1]; /* below, after the functions it names */

static bool within(const struct wire_field *field, uint64_t value)
{
    return value >= field->min && value <= field->max;
}

static void put_bytes(struct writer *writer, const void *bytes, size_t length)
{
    if (writer->data != NULL && length > 0) {
        memcpy(writer->data + writer->length, bytes, length);
    }
    writer->length += length;
}

static void put_number16(struct writer *writer, size_t value)
{
    uint16_t big = htobe16((uint16_t)value);
    put_bytes(writer, &big, sizeof big);
}

static int put_string(struct writer *writer, const char *string, uint64_t min, uint64_t max)
{
    size_t length = string == NULL ? 0 : strnlen(string, max + 1);
    if (length < min || length > max) {
        return -ERANGE;
    }
    uint32_t big = htobe32((uint32_t)length);
    put_bytes(writer, &big, sizeof big);
    put_bytes(writer, string, length);
    return 0;
}

static int put_u32(struct writer *writer, const struct wire_field *field, const void *member)
{
    uint32_t value = *(const uint32_t *)member, big = htobe32(value);
    put_bytes(writer, &big, sizeof big);
    return within(field, value) ? 0 : -ERANGE;
}

static int put_u64(struct writer *writer, const struct wire_field *field, const void *member)
{
    uint64_t value = *(const uint64_t *)member, big = htobe64(value);
    put_bytes(writer, &big, sizeof big);
    return within(field, value) ? 0 : -ERANGE;
}

static int put_text(struct writer *writer, const struct wire_field *field, const void *member)
{
    return put_string(writer, *(char *const *)member, field->min, field->max);
}

static int put_texts(struct writer *writer, const struct wire_field *field, const void *member)
{
    const struct texts *texts = member;
    if (!within(field, texts->count)) {
        return -ERANGE;
    }
    put_number16(writer, texts->count);
    for (size_t i = 0; i < texts->count; i++) {
        int error = put_string(writer, texts->items[i], 1, field->item_max);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int put_record(struct writer *writer, const struct wire_record *record, const void *body)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        writer->field = field->name;
        int error = writers[field->kind](writer, field, (const char *)body + field->offset);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int put_records(struct writer *writer, const struct wire_field *field, const void *member)
{
    const struct records *records = member;
    if (!within(field, records->count)) {
        return -ERANGE;
    }
    put_number16(writer, records->count);
    for (size_t i = 0; i < records->count; i++) {
        const void *item = (const char *)records->items + i * field->record->size;
        int error = put_record(writer, field->record, item);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int put_message(struct writer *writer, const struct message_row *row, const void *body)
{
    struct header header = {htobe16(WIRE_MAGIC), htobe16(WIRE_VERSION), htobe16(row->id), 0};
    put_bytes(writer, &header, sizeof header);
    return row->record == NULL ? 0 : put_record(writer, row->record, body);
}

int wire_encode(uint16_t id, const void *body, struct text *out, const char **ret_field)
{
    const struct message_row *row = message_find(id);
    if (row == NULL) {
        return -EINVAL;
    }
    struct writer measure = {0};
    int error = put_message(&measure, row, body);
    if (error != 0) {
        if (ret_field != NULL) {
            *ret_field = measure.field;
        }
        return error;
    }
    if (measure.length > WIRE_PACKET_MAX) {
        return -EMSGSIZE;
    }
    struct writer writer = {.data = malloc(measure.length)};
    if (writer.data == NULL) {
        return -ENOMEM;
    }
    put_message(&writer, row, body);
    text_append(out, (const char *)writer.data, writer.length);
    explicit_bzero(writer.data, writer.length);
    free(writer.data);
    return text_ok(out) ? 0 : -ENOMEM;
}

static member_put *const writers[WIRE_RECORDS + 1] = {
    [WIRE_U32] = put_u32,         [WIRE_U64] = put_u64,     [WIRE_TEXT] = put_text,
    [WIRE_SECRET] = put_text,     [WIRE_TEXTS] = put_texts, [WIRE_SECRETS] = put_texts,
    [WIRE_RECORDS] = put_records,
};
