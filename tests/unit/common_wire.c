/*
 * The codec, for every message of the table: what is written is what docs/protocol.md says, is read
 * back, and nothing that differs from it by a bound, a byte missing or a byte too many is.
 * CDSS_WRITE_CORPUS=1 writes the fuzzer's corpus instead of comparing it.
 */
#include "test.h"

#include "cleanup.h"
#include "messages.h"
#include "wire_sample.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#define CORPUS CDSS_SOURCE "/tests/fuzz/corpus/common_wire"

/* Decodes from a block of exactly this size, so that a sanitizer sees every byte too far. */
static int decode(const char *bytes, size_t length)
{
    CLEANUP_FREE char *packet = malloc(length > 0 ? length : 1);
    CLEANUP_MESSAGE struct wire_message message = {0};
    memcpy(packet, bytes, length);
    return wire_decode(packet, length, &message);
}

static void check_round_trip(const struct message_row *row, enum sample_size size)
{
    CLEANUP_TEXT struct text want = {0}, got = {0}, again = {0};
    CLEANUP_MESSAGE struct wire_message message = {0};
    void *body = sample_new(row->record, size);
    sample_pack(&want, row->id, row->record, body);
    int error = wire_encode(row->id, body, &got, NULL);
    sample_free(row->record, body);
    if (want.length > WIRE_PACKET_MAX) {
        CHECK(error == -EMSGSIZE && got.length == 0);
        CHECK(decode(want.data, want.length) == -EPROTO);
        return;
    }
    CHECK(error == 0);
    CHECK(got.length == want.length && memcmp(got.data, want.data, got.length) == 0);
    CHECK(wire_decode(got.data, got.length, &message) == 0);
    CHECK(message.id == row->id && message.record == row->record);
    CHECK(wire_encode(row->id, message.body, &again, NULL) == 0);
    CHECK(again.length == want.length && memcmp(again.data, want.data, want.length) == 0);
}

static void round_trip(void)
{
    for (size_t i = 0; i < message_table_size; i++) {
        check_round_trip(&message_table[i], SAMPLE_LEAST);
        check_round_trip(&message_table[i], SAMPLE_SOME);
        check_round_trip(&message_table[i], SAMPLE_MOST);
    }
}

static void lengths(void)
{
    for (size_t i = 0; i < message_table_size; i++) {
        const struct message_row *row = &message_table[i];
        CLEANUP_TEXT struct text packet = {0};
        void *body = sample_new(row->record, SAMPLE_SOME);
        CHECK(wire_encode(row->id, body, &packet, NULL) == 0);
        sample_free(row->record, body);
        for (size_t length = 0; length < packet.length; length++) {
            CHECK(decode(packet.data, length) == -EPROTO);
        }
        CHECK(decode(packet.data, packet.length) == 0);
        text_append(&packet, "", 1);
        CHECK(decode(packet.data, packet.length) == -EPROTO);
    }
}

/* The body is out of bounds in this field: neither written nor read. */
static void check_refused(const struct message_row *row, const void *body, const char *field)
{
    CLEANUP_TEXT struct text packet = {0}, none = {0};
    const char *got = NULL;
    CHECK(wire_encode(row->id, body, &none, &got) == -ERANGE);
    CHECK(none.length == 0);
    CHECK_TEXT(got, field);
    sample_pack(&packet, row->id, row->record, body);
    CHECK(packet.length <= WIRE_PACKET_MAX);
    CHECK(decode(packet.data, packet.length) == -EPROTO);
}

static void check_accepted(const struct message_row *row, const void *body)
{
    CLEANUP_TEXT struct text packet = {0};
    CHECK(wire_encode(row->id, body, &packet, NULL) == 0);
    CHECK(decode(packet.data, packet.length) == 0);
}

static void check_fields(const struct message_row *row, const void *whole,
                         const struct wire_record *record, void *body);

static void check_number(const struct message_row *row, const void *whole,
                         const struct wire_field *field, void *member)
{
    bool small = field->kind == WIRE_U32;
    uint64_t most = small ? UINT32_MAX : UINT64_MAX;
    uint64_t values[] = {field->min - 1, field->max + 1, field->min, field->max};
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        bool inside = values[i] >= field->min && values[i] <= field->max;
        if (!inside && values[i] > most) {
            continue;
        }
        if (small) {
            *(uint32_t *)member = (uint32_t)values[i];
        } else {
            *(uint64_t *)member = values[i];
        }
        if (inside) {
            check_accepted(row, whole);
        } else {
            check_refused(row, whole, field->name);
        }
    }
}

static void check_text(const struct message_row *row, const void *whole,
                       const struct wire_field *field, char **member)
{
    if (field->min > 0) {
        sample_set_text(member, field->min - 1);
        check_refused(row, whole, field->name);
    }
    sample_set_text(member, field->max + 1);
    check_refused(row, whole, field->name);
    sample_set_text(member, field->max);
    check_accepted(row, whole);
}

static void check_texts(const struct message_row *row, const void *whole,
                        const struct wire_field *field, struct texts *member)
{
    if (field->min > 0) {
        sample_set_texts(member, field->min - 1, 1);
        check_refused(row, whole, field->name);
    }
    sample_set_texts(member, field->max + 1, 1);
    check_refused(row, whole, field->name);
    sample_set_texts(member, 1, field->item_max + 1);
    check_refused(row, whole, field->name);
    sample_set_texts(member, 1, 0);
    check_refused(row, whole, field->name);
    sample_set_texts(member, field->max, 1);
    check_accepted(row, whole);
}

static void check_records(const struct message_row *row, const void *whole,
                          const struct wire_field *field, struct records *member)
{
    sample_set_records(field->record, member, field->max + 1, SAMPLE_LEAST);
    check_refused(row, whole, field->name);
    sample_set_records(field->record, member, field->max, SAMPLE_LEAST);
    check_accepted(row, whole);
    sample_set_records(field->record, member, 1, SAMPLE_LEAST);
    check_fields(row, whole, field->record, member->items);
}

static void check_field(const struct message_row *row, const void *whole,
                        const struct wire_field *field, void *member)
{
    switch (field->kind) {
    case WIRE_U32:
    case WIRE_U64:
        check_number(row, whole, field, member);
        break;
    case WIRE_TEXT:
    case WIRE_SECRET:
        check_text(row, whole, field, member);
        break;
    case WIRE_TEXTS:
    case WIRE_SECRETS:
        check_texts(row, whole, field, member);
        break;
    case WIRE_RECORDS:
        check_records(row, whole, field, member);
        break;
    }
}

static void check_fields(const struct message_row *row, const void *whole,
                         const struct wire_record *record, void *body)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        check_field(row, whole, field, (char *)body + field->offset);
    }
}

static void bounds(void)
{
    for (size_t i = 0; i < message_table_size; i++) {
        const struct message_row *row = &message_table[i];
        void *body = sample_new(row->record, SAMPLE_LEAST);
        if (body != NULL) {
            check_fields(row, body, row->record, body);
        }
        sample_free(row->record, body);
    }
}

static void no_nul(void)
{
    struct message_share_user request = {.who.user = (char[]){"alice"}};
    CLEANUP_TEXT struct text packet = {0};
    CHECK(wire_encode(MESSAGE_SHARE_SHOW, &request, &packet, NULL) == 0);
    for (size_t i = 12; i < 12 + strlen(request.who.user); i++) {
        char was = packet.data[i];
        packet.data[i] = '\0';
        CHECK(decode(packet.data, packet.length) == -EPROTO);
        packet.data[i] = was;
    }
    CHECK(decode(packet.data, packet.length) == 0);
}

static void header(void)
{
    static const struct {
        const char *bytes;
        int error;
    } cases[] = {
        {"\xcd\x55\x00\x01\x00\x09\x00\x00", 0},
        {"\xcd\x56\x00\x01\x00\x09\x00\x00", -EPROTO},
        {"\xcd\x55\x00\x02\x00\x09\x00\x00", -EPROTONOSUPPORT},
        {"\xcd\x55\x00\x00\x00\x09\x00\x00", -EPROTONOSUPPORT},
        {"\xcd\x55\x00\x01\x00\x00\x00\x00", -EPROTO},
        {"\xcd\x55\x00\x01\x7f\xff\x00\x00", -EPROTO},
        {"\xcd\x55\x00\x01\x00\x09\x00\x01", -EPROTO},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CHECK(decode(cases[i].bytes, 8) == cases[i].error);
    }
    struct text none = {0};
    CHECK(wire_encode(7777, NULL, &none, NULL) == -EINVAL);
    CHECK(none.data == NULL);
}

/* Counts and lengths that promise more than the packet holds. */
static void promises(void)
{
    static const char create[] =
        "\xcd\x55\x00\x01\x00\x01\x00\x00\x00\x00\x00\x01u\x00\x00\x00\x00";
    static const struct {
        const char *bytes;
        size_t length;
    } lies[] = {{"\x00\x40", 2},
                {"\xff\xff", 2},
                {"\x00\x01\xff\xff\xff\xff", 6},
                {"\x00\x01\x00\x00\x03\xff", 6},
                {"\x00\x02\x00\x00\x00\x01x\x00\x00\x00\x01", 11}};
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        CLEANUP_TEXT struct text packet = {0};
        text_append(&packet, create, sizeof create - 1);
        text_append(&packet, lies[i].bytes, lies[i].length);
        CHECK(decode(packet.data, packet.length) == -EPROTO);
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* What decodes is what would be written. */
static void check_canonical(const char *bytes, size_t length)
{
    CLEANUP_MESSAGE struct wire_message message = {0};
    CLEANUP_TEXT struct text again = {0};
    if (wire_decode(bytes, length, &message) == 0) {
        CHECK(wire_encode(message.id, message.body, &again, NULL) == 0);
        CHECK(again.length == length && memcmp(again.data, bytes, length) == 0);
    }
}

static void random_bytes(void)
{
    uint64_t state = 20031026;
    for (int i = 0; i < 100000; i++) {
        char packet[256];
        size_t length = next_random(&state) % sizeof packet;
        for (size_t j = 0; j < sizeof packet; j++) {
            packet[j] = (char)(next_random(&state) % 8 ? 0 : next_random(&state));
        }
        memcpy(packet, "\xcd\x55\x00\x01", 4);
        packet[4] = 0;
        packet[5] = (char)message_table[next_random(&state) % message_table_size].id;
        packet[6] = packet[7] = 0;
        check_canonical(packet, length);
    }
}

static void flipped_bytes(void)
{
    for (size_t i = 0; i < message_table_size; i++) {
        const struct message_row *row = &message_table[i];
        CLEANUP_TEXT struct text packet = {0};
        void *body = sample_new(row->record, SAMPLE_SOME);
        wire_encode(row->id, body, &packet, NULL);
        sample_free(row->record, body);
        for (size_t bit = 0; bit < packet.length * 8; bit++) {
            packet.data[bit / 8] ^= (char)(1 << bit % 8);
            check_canonical(packet.data, packet.length);
            packet.data[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
}

static void oversized(void)
{
    CLEANUP_FREE char *packet = calloc(1, WIRE_PACKET_MAX + 1);
    memcpy(packet, "\xcd\x55\x00\x01\x00\x09\x00\x00", 8);
    CHECK(decode(packet, WIRE_PACKET_MAX) == -EPROTO);
    CHECK(decode(packet, WIRE_PACKET_MAX + 1) == -EPROTO);
}

/* A text that is not there is an empty text. */
static void missing_text(void)
{
    CLEANUP_TEXT struct text packet = {0};
    const char *field = NULL;
    CHECK(wire_encode(MESSAGE_DONE, &(struct message_done){0}, &packet, &field) == 0);
    CHECK(packet.length == 8 + 4 + 4);
    CHECK(wire_encode(MESSAGE_REFUSED, &(struct message_refused){0}, &packet, &field) == -ERANGE);
    CHECK_TEXT(field, "sentence");
}

static void untouched_on_failure(void)
{
    struct wire_message message = {.id = 4711};
    CHECK(wire_decode("\xcd\x55\x00\x01\x00\x03\x00\x00", 8, &message) == -EPROTO);
    CHECK(message.id == 4711 && message.body == NULL);
}

static void check_limits(const struct wire_record *record)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const struct wire_field *field = &record->fields[i];
        CHECK(field->min <= field->max);
        if (field->kind >= WIRE_TEXTS) {
            CHECK(field->max <= UINT16_MAX);
        }
        if (field->record != NULL) {
            check_limits(field->record);
        }
    }
}

static void table_sound(void)
{
    for (size_t i = 0; i < message_table_size; i++) {
        if (message_table[i].record != NULL) {
            check_limits(message_table[i].record);
        }
        CHECK(message_find(message_table[i].id) == &message_table[i]);
    }
    CHECK(message_find(0) == NULL);
}

static void write_file(const char *path, const struct text *packet)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && write(fd, packet->data, packet->length) == (ssize_t)packet->length);
}

static void compare_file(const char *path, const struct text *packet)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char bytes[4096];
    ssize_t length = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    CHECK(length == (ssize_t)packet->length && memcmp(bytes, packet->data, packet->length) == 0);
}

static void corpus(void)
{
    bool writing = getenv("CDSS_WRITE_CORPUS") != NULL;
    for (size_t i = 0; i < message_table_size; i++) {
        const struct message_row *row = &message_table[i];
        CLEANUP_TEXT struct text packet = {0}, path = {0};
        text_format(&path, "%s/%s", CORPUS, row->name);
        for (char *c = strrchr(path.data, '/'); *c != '\0'; c++) {
            *c = (char)tolower((unsigned char)*c);
        }
        void *body = sample_new(row->record, SAMPLE_SOME);
        CHECK(wire_encode(row->id, body, &packet, NULL) == 0);
        sample_free(row->record, body);
        if (writing) {
            write_file(path.data, &packet);
        } else {
            compare_file(path.data, &packet);
        }
    }
}

TEST_MAIN({"every message there and back", round_trip}, {"no byte missing, none too many", lengths},
          {"every field at its bounds", bounds}, {"no NUL in a text", no_nul}, {"header", header},
          {"promises that the packet does not keep", promises}, {"random bytes", random_bytes},
          {"every bit flipped", flipped_bytes}, {"oversized packets", oversized},
          {"a missing text is empty", missing_text},
          {"nothing is returned on failure", untouched_on_failure},
          {"the table is sound", table_sound}, {"the fuzzer's corpus is current", corpus})
