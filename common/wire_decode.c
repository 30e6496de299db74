/*
 * wire_decode() by a table: one row a kind of field. A list's items are allocated only when the
 * bytes that are left can fill them, so that memory is bounded by the packet's own size.
 */
#include "wire.h"

#include "messages.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_HEAD  sizeof(uint32_t)
#define COUNT_HEAD sizeof(uint16_t)

struct header {
    uint16_t magic, version, id, zero;
};

struct reader {
    const unsigned char *at;
    size_t left;
};

struct kind {
    int (*get)(struct reader *, const struct wire_field *, void *member);
    size_t (*least)(const struct wire_field *); /* bytes on the wire */
};

static const struct kind kinds[WIRE_RECORDS + 1]; /* below, after the functions that it names */

static bool within(const struct wire_field *field, uint64_t value)
{
    return value >= field->min && value <= field->max;
}

static int get_bytes(struct reader *reader, void *bytes, size_t length)
{
    if (reader->left < length) {
        return -EPROTO;
    }
    memcpy(bytes, reader->at, length);
    reader->at += length;
    reader->left -= length;
    return 0;
}

static int get_string(struct reader *reader, uint64_t min, uint64_t max, char **member)
{
    uint32_t big;
    if (get_bytes(reader, &big, sizeof big) != 0) {
        return -EPROTO;
    }
    size_t length = be32toh(big);
    if (length < min || length > max || length > reader->left ||
        memchr(reader->at, '\0', length) != NULL) {
        return -EPROTO;
    }
    char *string = malloc(length + 1);
    if (string == NULL) {
        return -ENOMEM;
    }
    get_bytes(reader, string, length);
    string[length] = '\0';
    *member = string;
    return 0;
}

/* Reads a list's count and allocates its items, zeroed; every item must have its least bytes. */
static int get_list(struct reader *reader, const struct wire_field *field, size_t least,
                    size_t item_size, void **ret_items, size_t *ret_count)
{
    uint16_t big;
    if (get_bytes(reader, &big, sizeof big) != 0) {
        return -EPROTO;
    }
    size_t count = be16toh(big);
    if (!within(field, count) || count > reader->left / least) {
        return -EPROTO;
    }
    void *items = count == 0 ? NULL : calloc(count, item_size);
    if (count > 0 && items == NULL) {
        return -ENOMEM;
    }
    *ret_items = items;
    *ret_count = count;
    return 0;
}

static int get_u32(struct reader *reader, const struct wire_field *field, void *member)
{
    uint32_t big;
    if (get_bytes(reader, &big, sizeof big) != 0 || !within(field, be32toh(big))) {
        return -EPROTO;
    }
    *(uint32_t *)member = be32toh(big);
    return 0;
}

static int get_u64(struct reader *reader, const struct wire_field *field, void *member)
{
    uint64_t big;
    if (get_bytes(reader, &big, sizeof big) != 0 || !within(field, be64toh(big))) {
        return -EPROTO;
    }
    *(uint64_t *)member = be64toh(big);
    return 0;
}

static int get_text(struct reader *reader, const struct wire_field *field, void *member)
{
    return get_string(reader, field->min, field->max, member);
}

static int get_texts(struct reader *reader, const struct wire_field *field, void *member)
{
    struct texts *texts = member;
    void *items = NULL;
    int error = get_list(reader, field, TEXT_HEAD + 1, sizeof(char *), &items, &texts->count);
    texts->items = items;
    for (size_t i = 0; error == 0 && i < texts->count; i++) {
        error = get_string(reader, 1, field->item_max, &texts->items[i]);
    }
    return error;
}

static int get_record(struct reader *reader, const struct wire_record *record, void *body)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        error = kinds[field->kind].get(reader, field, (char *)body + field->offset);
    }
    return error;
}

static size_t record_least(const struct wire_record *record)
{
    size_t least = 0;
    for (size_t i = 0; i < record->n_fields; i++) {
        least += kinds[record->fields[i].kind].least(&record->fields[i]);
    }
    return least;
}

static int get_records(struct reader *reader, const struct wire_field *field, void *member)
{
    struct records *records = member;
    int error = get_list(reader, field, record_least(field->record), field->record->size,
                         &records->items, &records->count);
    for (size_t i = 0; error == 0 && i < records->count; i++) {
        void *item = (char *)records->items + i * field->record->size;
        error = get_record(reader, field->record, item);
    }
    return error;
}

static int get_header(struct reader *reader, const struct message_row **ret_row)
{
    struct header header;
    if (get_bytes(reader, &header, sizeof header) != 0 || be16toh(header.magic) != WIRE_MAGIC) {
        return -EPROTO;
    }
    if (be16toh(header.version) != WIRE_VERSION) {
        return -EPROTONOSUPPORT;
    }
    const struct message_row *row = message_find(be16toh(header.id));
    if (row == NULL || header.zero != 0) {
        return -EPROTO;
    }
    *ret_row = row;
    return 0;
}

static int get_body(struct reader *reader, const struct wire_record *record, void **ret)
{
    void *body = calloc(1, record->size);
    if (body == NULL) {
        return -ENOMEM;
    }
    int error = get_record(reader, record, body);
    if (error == 0 && reader->left > 0) {
        error = -EPROTO;
    }
    if (error != 0) {
        wire_free_record(record, body);
        free(body);
        return error;
    }
    *ret = body;
    return 0;
}

int wire_decode(const void *packet, size_t length, struct wire_message *ret)
{
    struct reader reader = {packet, length};
    const struct message_row *row;
    if (length > WIRE_PACKET_MAX) {
        return -EPROTO;
    }
    int error = get_header(&reader, &row);
    if (error != 0) {
        return error;
    }
    void *body = NULL;
    if (row->record != NULL) {
        error = get_body(&reader, row->record, &body);
    } else if (reader.left > 0) {
        error = -EPROTO;
    }
    if (error == 0) {
        *ret = (struct wire_message){row->id, body, row->record};
    }
    return error;
}

static size_t least_u32(const struct wire_field *field)
{
    (void)field;
    return sizeof(uint32_t);
}

static size_t least_u64(const struct wire_field *field)
{
    (void)field;
    return sizeof(uint64_t);
}

static size_t least_text(const struct wire_field *field)
{
    return TEXT_HEAD + field->min;
}

static size_t least_texts(const struct wire_field *field)
{
    return COUNT_HEAD + field->min * (TEXT_HEAD + 1);
}

static size_t least_records(const struct wire_field *field)
{
    return COUNT_HEAD + field->min * record_least(field->record);
}

static const struct kind kinds[WIRE_RECORDS + 1] = {
    [WIRE_U32] = {get_u32, least_u32},
    [WIRE_U64] = {get_u64, least_u64},
    [WIRE_TEXT] = {get_text, least_text},
    [WIRE_SECRET] = {get_text, least_text},
    [WIRE_TEXTS] = {get_texts, least_texts},
    [WIRE_SECRETS] = {get_texts, least_texts},
    [WIRE_RECORDS] = {get_records, least_records},
};
