/*
 * The one reader of ini files (cdss.conf, server.conf) and its tables. A file is lines of
 * "[section]", "key=value", blank lines, and comments: a line that begins with ';' or '#', or
 * white space and ';' behind a value. Lines end in \n or \r\n, are at most 4096 bytes, and hold no
 * NUL. An error names file and line: "cdss.conf:12: [network] ports: 70000 is above 65535".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct conf_error {
    char text[512];
};

/* Called for each key in order. `why` is filled on failure (any negative errno). */
typedef int conf_handler(const char *section, const char *key, const char *value, void *user_data,
                         char *why, size_t why_size);

/* Reads `length` bytes of text; `name` is for the error only. 0 or -EINVAL with *ret_error filled.
 */
int conf_read(const char *name, const char *text, size_t length, conf_handler *handler,
              void *user_data, struct conf_error *ret_error);

/* The table-driven way: one row a key. `set` stores value into target + offset. */
struct conf_key {
    const char *section, *key;
    int (*set)(const struct conf_key *row, const char *value, void *target, char *why,
               size_t why_size);
    size_t offset;     /* of the field in the target */
    uint64_t min, max; /* for numbers, durations, lists (items) and text (bytes) */
};

/* Looks the key up and calls its setter; an unknown section or key is an error. */
int conf_apply(const struct conf_key *rows, size_t n_rows, const char *section, const char *key,
               const char *value, void *target, char *why, size_t why_size);

/* Setters. The field's type is in the name's comment. */
int conf_set_text(const struct conf_key *, const char *, void *, char *, size_t); /* char[max+1] */
int conf_set_path(const struct conf_key *, const char *, void *, char *,
                  size_t); /* char[PATH_MAX], absolute */
int conf_set_uint32(const struct conf_key *, const char *, void *, char *, size_t); /* uint32_t */
int conf_set_duration(const struct conf_key *, const char *, void *, char *,
                      size_t); /* uint64_t, s */
