/*
 * The codec of the broker protocol (docs/protocol.md): one SOCK_SEQPACKET packet is one message, a
 * header and the fields of its record in the order of the table in messages.c. Both sides use the
 * same tables, so that what is written is what is read. All integers are big endian.
 *
 *   header: u16 magic 0xCD55 | u16 version 1 | u16 message id | u16 zero
 *   U32 4 bytes, U64 8 bytes; TEXT u32 length + bytes without NUL;
 *   TEXTS u16 count + TEXT each; RECORDS u16 count + the inner record's fields each
 *
 * Every number is checked against min and max, every text's length and every list's count too;
 * trailing bytes are refused.
 */
#pragma once

#include "text.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC      0xCD55
#define WIRE_VERSION    1
#define WIRE_PACKET_MAX (160 * 1024) /* 64 image paths of 1023 bytes, twice over */

enum wire_kind {
    WIRE_U32,
    WIRE_U64,
    WIRE_TEXT,
    WIRE_SECRET,
    WIRE_TEXTS,
    WIRE_SECRETS,
    WIRE_RECORDS
};

struct wire_record;

struct wire_field {
    const char *name; /* also the key in JSON */
    enum wire_kind kind;
    size_t offset; /* of the field in the struct: uint32_t, uint64_t, char *, struct texts, struct
                      records */
    uint64_t min, max;                /* numbers: value; TEXT: bytes; lists: count */
    uint64_t item_max;                /* TEXTS: bytes of one item (an item has at least 1) */
    const struct wire_record *record; /* RECORDS: the inner record */
};

struct wire_record {
    const char *name;
    size_t size; /* of the struct */
    const struct wire_field *fields;
    size_t n_fields;
};

struct texts {
    char **items;
    size_t count;
};

struct records {
    void *items; /* array of the inner struct */
    size_t count;
};

/* A decoded message. The body and all it points to are owned by the message. */
struct wire_message {
    uint16_t id;
    void *body; /* the record's struct; NULL for a message without fields */
    const struct wire_record *record;
};

#define CLEANUP_MESSAGE __attribute__((cleanup(wire_free)))

/* Encodes `body` (of the record of message `id`) and appends it to *out. 0, -EINVAL (unknown id),
 * -ERANGE (a field is out of its bounds; *ret_field names it when not NULL), -EMSGSIZE, -ENOMEM. */
int wire_encode(uint16_t id, const void *body, struct text *out, const char **ret_field);

/* Decodes one packet. 0; -EPROTO for anything that is not exactly a message of the table;
 * -EPROTONOSUPPORT for another version; -ENOMEM. *ret is untouched on failure. */
int wire_decode(const void *packet, size_t length, struct wire_message *ret);

/* Frees what decode made; secrets are wiped first. Leaves the message {0}. */
void wire_free(struct wire_message *message);

/* Frees and wipes what a struct of this record points to (not the struct), and zeroes it. */
void wire_free_record(const struct wire_record *record, void *body);

struct json;
/* Writes a record's fields as the members of the open JSON object; secrets are left out. */
void wire_json(const struct wire_record *record, const void *body, struct json *json);
