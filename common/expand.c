/* One scan from left to right; what was put in is never scanned again. */
#include "expand.h"

#include "cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* A {{name|filter}} in a text. */
struct tag {
    const char *start, *end; /* from the first '{' to behind the last '}' */
    const char *name, *filter;
    size_t name_length, filter_length; /* no filter: filter is NULL */
};

typedef bool filter_function(struct text *out, const char *value);

static bool filter_url(struct text *out, const char *value)
{
    text_add_url(out, value, strlen(value));
    return true;
}

static bool filter_quoted(struct text *out, const char *value)
{
    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*value;
        if (byte < 0x20 || byte == 0x7f) {
            return false;
        }
        if (byte == '"' || byte == '\\') {
            text_append(out, "\\", 1);
        }
        text_append(out, value, 1);
    }
    return true;
}

static const struct {
    const char *name;
    filter_function *apply;
} filters[] = {{"url", filter_url}, {"quoted", filter_quoted}};

static bool is_word(const char *bytes, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(bytes, word, length) == 0;
}

/* 1 with *ret filled, 0 when there is no more, -EINVAL when a tag is not closed on its line. */
static int next_tag(const char *text, const char *end, struct tag *ret)
{
    const char *start = memmem(text, (size_t)(end - text), "{{", 2);
    if (start == NULL) {
        return 0;
    }
    const char *inside = start + 2;
    const char *close = memmem(inside, (size_t)(end - inside), "}}", 2);
    if (close == NULL || memchr(inside, '\n', (size_t)(close - inside)) != NULL) {
        return -EINVAL;
    }
    const char *bar = memchr(inside, '|', (size_t)(close - inside));
    *ret = (struct tag){
        .start = start,
        .end = close + 2,
        .name = inside,
        .name_length = (size_t)((bar != NULL ? bar : close) - inside),
        .filter = bar != NULL ? bar + 1 : NULL,
        .filter_length = bar != NULL ? (size_t)(close - bar - 1) : 0,
    };
    return 1;
}

static const char *find_value(const struct expand_variable *variables, const struct tag *tag)
{
    for (; variables->name != NULL; variables++) {
        if (is_word(tag->name, tag->name_length, variables->name)) {
            return variables->value;
        }
    }
    return NULL;
}

/* NULL when the value was put in, otherwise why not. */
static const char *put_value(const struct tag *tag, const struct expand_variable *variables,
                             struct text *out)
{
    const char *value = find_value(variables, tag);
    if (value == NULL) {
        return "names an unknown variable";
    }
    if (tag->filter == NULL) {
        text_add(out, value);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        if (is_word(tag->filter, tag->filter_length, filters[i].name)) {
            return filters[i].apply(out, value) ? NULL : "has a value with control characters";
        }
    }
    return "names an unknown filter";
}

static const char *put_all(const char *text, const char *end,
                           const struct expand_variable *variables, struct text *out)
{
    struct tag tag;
    int found;
    while ((found = next_tag(text, end, &tag)) > 0) {
        text_append(out, text, (size_t)(tag.start - text));
        const char *why = put_value(&tag, variables, out);
        if (why != NULL) {
            return why;
        }
        text = tag.end;
    }
    text_append(out, text, (size_t)(end - text));
    return found < 0 ? "has a {{ without its }}" : NULL;
}

int expand(const char *text, size_t length, const struct expand_variable *variables,
           struct text *out, const char **ret_why)
{
    size_t before = out->length;
    const char *why = put_all(text, text + length, variables, out);
    if (!text_ok(out)) {
        return -ENOMEM;
    }
    if (why == NULL) {
        return 0;
    }
    if (out->data != NULL) { /* half an expansion is of no use to anybody */
        out->length = before;
        out->data[before] = '\0';
    }
    if (ret_why != NULL) {
        *ret_why = why;
    }
    return -EINVAL;
}

int expand_uses(const char *text, const char *name)
{
    struct tag tag;
    for (const char *end = text + strlen(text); next_tag(text, end, &tag) > 0; text = tag.end) {
        if (is_word(tag.name, tag.name_length, name)) {
            return 1;
        }
    }
    return 0;
}
