/* UTF-8 by the table of RFC 3629, section 4, written as: lead byte, length, least code point. */
#include "escape.h"

#include "cleanup.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct lead {
    uint8_t mask, value, length;
    uint32_t least; /* anything below would have been shorter */
};

static const struct lead leads[] = {
    {0x80, 0x00, 1, 0},
    {0xe0, 0xc0, 2, 0x80},
    {0xf0, 0xe0, 3, 0x800},
    {0xf8, 0xf0, 4, 0x10000},
};

static const struct lead *find_lead(uint8_t byte)
{
    for (size_t i = 0; i < ARRAY_SIZE(leads); i++) {
        if ((byte & leads[i].mask) == leads[i].value) {
            return &leads[i];
        }
    }
    return NULL;
}

size_t escape_utf8(const char *bytes, size_t length, uint32_t *ret_code)
{
    const struct lead *lead = length > 0 ? find_lead((uint8_t)bytes[0]) : NULL;
    if (lead == NULL || lead->length > length) {
        return 0;
    }
    uint32_t code = (uint8_t)bytes[0] & (uint8_t)~lead->mask;
    for (size_t i = 1; i < lead->length; i++) {
        uint8_t byte = (uint8_t)bytes[i];
        if ((byte & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (byte & 0x3f);
    }
    if (code < lead->least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    *ret_code = code;
    return lead->length;
}

static bool is_harmful(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0, 0x1f}, {0x7f, 0x9f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static void put(char out[ESCAPE_MAX], size_t *ret_length, const char *bytes, size_t length)
{
    memcpy(out, bytes, length);
    *ret_length = length;
}

/* \xNN for each byte: at most 3 bytes of a harmful character, 12 bytes of output. */
static void put_hex(char out[ESCAPE_MAX], size_t *ret_length, const char *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)bytes[i];
        const char hex[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        memcpy(out + 4 * i, hex, sizeof hex);
    }
    *ret_length = 4 * length;
}

size_t escape_printable(const char *bytes, size_t length, char out[ESCAPE_MAX], size_t *ret_length)
{
    uint32_t code = 0;
    size_t taken = escape_utf8(bytes, length, &code);
    if (taken == 0) {
        put_hex(out, ret_length, bytes, 1);
        return 1;
    }
    if (code == '\n' || code == '\t' || code == '\\') {
        const char pair[2] = {'\\', code == '\n' ? 'n' : code == '\t' ? 't' : '\\'};
        put(out, ret_length, pair, sizeof pair);
    } else if (is_harmful(code)) {
        put_hex(out, ret_length, bytes, taken);
    } else {
        put(out, ret_length, bytes, taken);
    }
    return taken;
}

/* The short escapes of RFC 8259, section 7; 0 when there is none. */
static char json_short(uint32_t code)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = code != 0 && code < 0x80 ? strchr(from, (int)code) : NULL;
    return (char)(at != NULL ? to[at - from] : 0);
}

size_t escape_json(const char *bytes, size_t length, char out[ESCAPE_MAX], size_t *ret_length)
{
    uint32_t code = 0;
    size_t taken = escape_utf8(bytes, length, &code);
    if (taken == 0) {
        put(out, ret_length, "\xef\xbf\xbd", 3);
        return 1;
    }
    char letter = json_short(code);
    if (letter != 0) {
        const char pair[2] = {'\\', letter};
        put(out, ret_length, pair, sizeof pair);
    } else if (is_harmful(code)) {
        /* every harmful character is below U+10000: one \uNNNN is enough */
        *ret_length = (size_t)snprintf(out, ESCAPE_MAX, "\\u%04x", (unsigned)code);
    } else {
        put(out, ret_length, bytes, taken);
    }
    return taken;
}
