/* A comma before every value but the first of its level. Nesting beyond JSON_DEPTH, or an end
 * without a beginning, is the caller's mistake and makes the text fail like a lack of memory. */
#include "json.h"

#include "escape.h"

#include <string.h>

void json_begin(struct json *json, struct text *out)
{
    *json = (struct json){.out = out};
}

static bool depth_ok(const struct json *json)
{
    return json->depth >= 0 && json->depth < JSON_DEPTH;
}

static void put_string(struct text *out, const char *value)
{
    text_append(out, "\"", 1);
    for (size_t length = strlen(value); length > 0;) {
        char made[ESCAPE_MAX];
        size_t n_made = 0;
        size_t taken = escape_json(value, length, made, &n_made);
        text_append(out, made, n_made);
        value += taken;
        length -= taken;
    }
    text_append(out, "\"", 1);
}

static void begin_value(struct json *json, const char *key)
{
    if (!depth_ok(json)) {
        json->out->failed = true;
        return;
    }
    if (json->filled[json->depth]) {
        text_append(json->out, ",", 1);
    }
    json->filled[json->depth] = true;
    if (key != NULL) {
        put_string(json->out, key);
        text_append(json->out, ":", 1);
    }
}

static void open_level(struct json *json, const char *key, const char *bracket)
{
    begin_value(json, key);
    text_add(json->out, bracket);
    json->depth++;
    if (depth_ok(json)) {
        json->filled[json->depth] = false;
    }
}

static void close_level(struct json *json, const char *bracket)
{
    if (json->depth <= 0) {
        json->out->failed = true;
        return;
    }
    json->depth--;
    text_add(json->out, bracket);
}

void json_object(struct json *json, const char *key)
{
    open_level(json, key, "{");
}

void json_array(struct json *json, const char *key)
{
    open_level(json, key, "[");
}

void json_end_object(struct json *json)
{
    close_level(json, "}");
}

void json_end_array(struct json *json)
{
    close_level(json, "]");
}

void json_string(struct json *json, const char *key, const char *value)
{
    begin_value(json, key);
    if (value != NULL) {
        put_string(json->out, value);
    } else {
        text_add(json->out, "null");
    }
}

void json_number(struct json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    text_format(json->out, "%llu", (unsigned long long)value);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    text_add(json->out, value ? "true" : "false");
}
