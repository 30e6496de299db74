/*
 * Writing JSON (RFC 8259), for `cdss --json`, JSON log lines and the web API. There is no reader
 * here: no parser of a rich format runs as root. The writer puts the commas; bytes that are not
 * valid UTF-8 become U+FFFD.
 */
#pragma once

#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH 16

struct json {
    struct text *out;        /* borrowed */
    bool filled[JSON_DEPTH]; /* something was already written at this depth */
    int depth;
};

void json_begin(struct json *json, struct text *out);
/* `key` is NULL inside an array and at the top. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_end_array(struct json *json);
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
