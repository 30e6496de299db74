/*
 * A record as JSON: numbers, strings, arrays of strings, arrays of objects, under the names of the
 * wire's table; a secret has no writer.
 */
#include "wire.h"

#include "json.h"

typedef void member_writer(const struct wire_field *, const void *member, struct json *);

static void write_u32(const struct wire_field *field, const void *member, struct json *json)
{
    json_number(json, field->name, *(const uint32_t *)member);
}

static void write_u64(const struct wire_field *field, const void *member, struct json *json)
{
    json_number(json, field->name, *(const uint64_t *)member);
}

static void write_text(const struct wire_field *field, const void *member, struct json *json)
{
    const char *string = *(char *const *)member;
    json_string(json, field->name, string == NULL ? "" : string);
}

static void write_texts(const struct wire_field *field, const void *member, struct json *json)
{
    const struct texts *texts = member;
    json_array(json, field->name);
    for (size_t i = 0; i < texts->count; i++) {
        json_string(json, NULL, texts->items[i]);
    }
    json_end_array(json);
}

static void write_records(const struct wire_field *field, const void *member, struct json *json)
{
    const struct records *records = member;
    json_array(json, field->name);
    for (size_t i = 0; i < records->count; i++) {
        json_object(json, NULL);
        wire_json(field->record, (const char *)records->items + i * field->record->size, json);
        json_end_object(json);
    }
    json_end_array(json);
}

static member_writer *const writers[] = {
    [WIRE_U32] = write_u32,         [WIRE_U64] = write_u64,     [WIRE_TEXT] = write_text,
    [WIRE_SECRET] = NULL,           [WIRE_TEXTS] = write_texts, [WIRE_SECRETS] = NULL,
    [WIRE_RECORDS] = write_records,
};

void wire_json(const struct wire_record *record, const void *body, struct json *json)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        if (writers[field->kind] != NULL) {
            writers[field->kind](field, (const char *)body + field->offset, json);
        }
    }
}
