/* Scalars: names, paths, numbers, durations. Addresses are in parse_address.c. Letters are ASCII by
 * table, whatever the locale says. */
#include "parse.h"

#include "cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define LOWER   "abcdefghijklmnopqrstuvwxyz"
#define UPPER   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"
#define SECRETS ".passwd"

static int refuse(const char **ret_why, const char *why)
{
    if (ret_why != NULL) {
        *ret_why = why;
    }
    return -EINVAL;
}

static bool is_one_of(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

static bool are_all_of(const char *text, size_t length, const char *set)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_one_of(text[i], set)) {
            return false;
        }
    }
    return true;
}

int parse_user(const char *text, size_t length, struct user_name *ret, const char **ret_why)
{
    if (length == 0) {
        return refuse(ret_why, "is empty");
    }
    if (length > USER_NAME_MAX) {
        return refuse(ret_why, "is longer than 32 bytes");
    }
    if (!are_all_of(text, length, LOWER UPPER DIGITS "._-@")) {
        return refuse(ret_why, "has characters other than A-Z a-z 0-9 . _ - @");
    }
    if (!is_one_of(text[0], LOWER UPPER DIGITS)) {
        return refuse(ret_why, "does not begin with a letter or a digit");
    }
    *ret = (struct user_name){0};
    memcpy(ret->text, text, length);
    return 0;
}

int parse_protocol(const char *text, size_t length, struct protocol_name *ret, const char **ret_why)
{
    if (length == 0) {
        return refuse(ret_why, "is empty");
    }
    if (length > PROTOCOL_NAME_MAX) {
        return refuse(ret_why, "is longer than 15 bytes");
    }
    if (!are_all_of(text, length, LOWER DIGITS "-")) {
        return refuse(ret_why, "has characters other than a-z 0-9 -");
    }
    if (!is_one_of(text[0], LOWER)) {
        return refuse(ret_why, "does not begin with a letter");
    }
    *ret = (struct protocol_name){0};
    memcpy(ret->text, text, length);
    return 0;
}

/* NULL when it is fine, otherwise why not. */
static const char *check_component(const char *name, size_t length)
{
    static const size_t n_secrets = sizeof SECRETS - 1;
    if (length == 0) {
        return "has an empty component";
    }
    if (length > 255) {
        return "has a component longer than 255 bytes";
    }
    if ((length == 1 && name[0] == '.') || (length == 2 && memcmp(name, "..", 2) == 0)) {
        return "has a component . or ..";
    }
    if (length >= n_secrets && memcmp(name + length - n_secrets, SECRETS, n_secrets) == 0) {
        return "names a password file";
    }
    return NULL;
}

static const char *check_components(const char *text, size_t length)
{
    const char *why = NULL, *end = text + length;
    for (const char *name = text; why == NULL && name != NULL;) {
        const char *slash = memchr(name, '/', (size_t)(end - name));
        why = check_component(name, (size_t)((slash != NULL ? slash : end) - name));
        name = slash != NULL ? slash + 1 : NULL;
    }
    return why;
}

/* C0 and DEL. lighttpd takes no such byte for itself, and no FTP command can carry a line's end. */
static bool has_control(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte == 0x7f) {
            return true;
        }
    }
    return false;
}

int parse_image_path(const char *text, size_t length, struct image_path *ret, const char **ret_why)
{
    if (length == 0) {
        return refuse(ret_why, "is empty");
    }
    if (length > IMAGE_PATH_MAX) {
        return refuse(ret_why, "is longer than 1023 bytes");
    }
    if (has_control(text, length)) {
        return refuse(ret_why, "holds a control character, which no protocol can name");
    }
    if (text[0] == '/') {
        return refuse(ret_why, "begins with a /");
    }
    const char *why = check_components(text, length);
    if (why != NULL) {
        return refuse(ret_why, why);
    }
    memcpy(ret->text, text, length);
    memset(ret->text + length, 0, sizeof ret->text - length);
    return 0;
}

int parse_number(const char *text, size_t length, uint64_t min, uint64_t max, uint64_t *ret,
                 const char **ret_why)
{
    if (length == 0) {
        return refuse(ret_why, "is empty");
    }
    if (!are_all_of(text, length, DIGITS)) {
        return refuse(ret_why, "is not a whole number");
    }
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value)) {
            return refuse(ret_why, "is too large");
        }
    }
    if (value < min || value > max) {
        return refuse(ret_why, value < min ? "is too small" : "is too large");
    }
    *ret = value;
    return 0;
}

static uint64_t unit_seconds(char unit)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (units[i].unit == unit) {
            return units[i].seconds;
        }
    }
    return 0;
}

int parse_duration(const char *text, size_t length, int zero, uint64_t *ret_seconds,
                   const char **ret_why)
{
    static const uint64_t most = UINT64_C(3650) * 86400;
    if (length == 1 && text[0] == '0') {
        if (!zero) {
            return refuse(ret_why, "is shorter than a second");
        }
        *ret_seconds = 0;
        return 0;
    }
    uint64_t unit = length > 1 ? unit_seconds(text[length - 1]) : 0;
    if (unit == 0 || !are_all_of(text, length - 1, DIGITS)) {
        return refuse(ret_why, "is not a duration like 90s, 45m, 24h or 3d");
    }
    uint64_t count = 0;
    if (parse_number(text, length - 1, 0, most / unit, &count, NULL) < 0) {
        return refuse(ret_why, "is longer than 3650 days");
    }
    if (count == 0) {
        return refuse(ret_why, "is shorter than a second");
    }
    *ret_seconds = count * unit;
    return 0;
}
