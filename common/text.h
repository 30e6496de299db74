/*
 * Growing text, and the few things done to text everywhere. A struct text starts as {0}, owns its
 * memory, and is always NUL-terminated once something was appended. Failure to allocate is sticky:
 * check text_ok() once at the end.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data; /* owned; NULL while empty */
    size_t length;
    size_t capacity;
    bool failed;
};

#define CLEANUP_TEXT __attribute__((cleanup(text_free)))

void text_free(struct text *text); /* leaves it {0} */
void text_append(struct text *text, const char *bytes, size_t length);
void text_add(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vformat(struct text *text, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static inline bool text_ok(const struct text *text)
{
    return !text->failed;
}
/* Hands the string over (never NULL unless allocation failed; "" when empty); the text is {0}
 * after. */
char *text_take(struct text *text);

/* Copies a string into a fixed buffer. Returns 0, or -ENAMETOOLONG and leaves "" when it does not
 * fit. */
int text_copy(char *buffer, size_t size, const char *string);

/* Appends `bytes` such that a terminal and a log can show them: control characters, backslashes and
 * bytes that are not valid UTF-8 become \n, \t, \\ or \xNN. */
void text_add_printable(struct text *text, const char *bytes, size_t length);

/* Appends `bytes` percent-encoded for a URL path (RFC 3986: unreserved characters and '/' stay). */
void text_add_url(struct text *text, const char *bytes, size_t length);

/* Appends "1.4 GB", "612 kB", "0 B": decimal units, for people. */
void text_add_size(struct text *text, unsigned long long bytes);

/* Appends "23h 59m", "4m 10s", "9s": at most two units, for people. */
void text_add_duration(struct text *text, unsigned long long seconds);

/* Reads a whole small file (at most `limit` bytes, -EFBIG above). *ret_data is owned by the caller,
 * NUL-terminated behind *ret_length bytes. Untouched on failure. Returns 0 or a negative errno. */
int text_read_file(int dirfd, const char *path, size_t limit, char **ret_data, size_t *ret_length);
