/* The scalar parsers that have no target of their own: the first byte chooses one, the rest is its
 * input. What is taken must keep the promise of its type. */
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
    static void (*const parsers[])(const char *, size_t) = {try_user, try_protocol, try_number,
                                                            try_duration};
    if (size > 0) {
        parsers[data[0] % (sizeof parsers / sizeof parsers[0])]((const char *)data + 1, size - 1);
    }
    return 0;
}
