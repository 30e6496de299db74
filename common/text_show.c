/* What text.h offers for showing things to people: escaping, sizes, durations. */
#include "escape.h"
#include "text.h"

#include "cleanup.h"

#include <string.h>

void text_add_printable(struct text *text, const char *bytes, size_t length)
{
    while (length > 0) {
        char out[ESCAPE_MAX];
        size_t made = 0;
        size_t taken = escape_printable(bytes, length, out, &made);
        text_append(text, out, made);
        bytes += taken;
        length -= taken;
    }
}

static bool stays_in_url(char byte)
{
    static const char stays[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~/";
    return byte != '\0' && strchr(stays, byte) != NULL;
}

void text_add_url(struct text *text, const char *bytes, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        const char encoded[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        if (stays_in_url(bytes[i])) {
            text_append(text, bytes + i, 1);
        } else {
            text_append(text, encoded, sizeof encoded);
        }
    }
}

/* Three digits at most, rounded: 9.9 kB, 10 kB, 999 kB, 1.0 MB. */
void text_add_size(struct text *text, unsigned long long bytes)
{
    static const char *const names[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        text_format(text, "%llu B", bytes);
        return;
    }
    unsigned long long unit = 1000;
    size_t i = 0;
    while (i + 1 < ARRAY_SIZE(names) && bytes / unit + (bytes % unit >= unit / 2) >= 1000) {
        unit *= 1000;
        i++;
    }
    unsigned long long tenths = bytes / unit * 10 + (bytes % unit + unit / 20) / (unit / 10);
    if (tenths < 100) {
        text_format(text, "%llu.%llu %s", tenths / 10, tenths % 10, names[i]);
    } else {
        text_format(text, "%llu %s", bytes / unit + (bytes % unit >= unit / 2), names[i]);
    }
}

void text_add_duration(struct text *text, unsigned long long seconds)
{
    static const struct {
        unsigned long long seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (i + 1 < ARRAY_SIZE(units) && seconds < units[i].seconds) {
        i++;
    }
    text_format(text, "%llu%c", seconds / units[i].seconds, units[i].letter);
    if (i + 1 < ARRAY_SIZE(units)) {
        unsigned long long rest = seconds % units[i].seconds / units[i + 1].seconds;
        if (rest > 0) {
            text_format(text, " %llu%c", rest, units[i + 1].letter);
        }
    }
}
