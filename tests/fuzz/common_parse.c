/* The scalar parsers: the first byte chooses one, the rest is its input. What is taken must keep
 * the promise of its type, and prefixes must come back from their own text. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Taken: as it was given. Refused: with a reason. */
static void check_text(int result, const char *why, const char *got, const char *text,
                       size_t length)
{
    if (result < 0) {
        REQUIRE(why != NULL && why[0] != '\0');
        return;
    }
    REQUIRE(why == NULL && length > 0 && strlen(got) == length && memcmp(got, text, length) == 0);
}

static void try_user(const char *text, size_t length)
{
    struct user_name user;
    const char *why = NULL;
    int result = parse_user(text, length, &user, &why);
    check_text(result, why, user.text, text, length);
}

static void try_protocol(const char *text, size_t length)
{
    struct protocol_name name;
    const char *why = NULL;
    int result = parse_protocol(text, length, &name, &why);
    check_text(result, why, name.text, text, length);
}

static void try_image_path(const char *text, size_t length)
{
    static struct image_path path;
    const char *why = NULL;
    int result = parse_image_path(text, length, &path, &why);
    check_text(result, why, path.text, text, length);
    if (result == 0) {
        REQUIRE(path.text[0] != '/' && strstr(path.text, "//") == NULL);
        REQUIRE(strstr(path.text, "/../") == NULL && strncmp(path.text, "../", 3) != 0);
        for (size_t i = 0; i < length; i++) {
            REQUIRE((unsigned char)path.text[i] >= 0x20 && path.text[i] != 0x7f);
        }
    }
}

typedef int prefix_parser(const char *, size_t, struct prefix *, const char **);

static void try_round_trip(prefix_parser *parse, const char *text, size_t length)
{
    struct prefix prefix, back;
    const char *why = NULL;
    if (parse(text, length, &prefix, &why) < 0) {
        REQUIRE(why != NULL);
        return;
    }
    char again[PREFIX_TEXT_SIZE];
    struct address last;
    prefix_format(&prefix, again);
    prefix_last(&prefix, &last);
    struct prefix end = {.address = last, .length = (uint8_t)(8 * address_size(&last))};
    REQUIRE(prefix_contains(&prefix, &end));
    REQUIRE(parse(again, strlen(again), &back, NULL) == 0);
    REQUIRE(back.length == prefix.length && address_equal(&back.address, &prefix.address));
}

static void try_prefix(const char *text, size_t length)
{
    try_round_trip(parse_prefix, text, length);
}

static void try_client(const char *text, size_t length)
{
    struct prefix client, prefix;
    try_round_trip(parse_client, text, length);
    if (parse_client(text, length, &client, NULL) == 0) {
        REQUIRE(client.length > 0 && parse_prefix(text, length, &prefix, NULL) == 0);
    }
}

static void try_number(const char *text, size_t length)
{
    uint64_t value = 0;
    if (parse_number(text, length, 10, 1000000, &value, NULL) == 0) {
        REQUIRE(value >= 10 && value <= 1000000);
    }
    parse_number(text, length, 0, UINT64_MAX, &value, NULL);
}

static void try_duration(const char *text, size_t length)
{
    uint64_t seconds = 0;
    if (parse_duration(text, length, 0, &seconds, NULL) == 0) {
        REQUIRE(seconds >= 1 && seconds <= UINT64_C(3650) * 86400);
    }
    if (parse_duration(text, length, 1, &seconds, NULL) == 0 && seconds == 0) {
        REQUIRE(length == 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(const char *, size_t) = {
        try_user, try_protocol, try_image_path, try_prefix, try_client, try_number, try_duration};
    if (size > 0) {
        parsers[data[0] % (sizeof parsers / sizeof parsers[0])]((const char *)data + 1, size - 1);
    }
    return 0;
}
