/* The sentences of refusals, and how values look in them. */
#include "cleanup.h"
#include "policy_parts.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int policy_refuse(struct refusal *refusal, const char *field, const char *format, ...)
{
    va_list arguments;

    snprintf(refusal->field, sizeof refusal->field, "%s", field);
    va_start(arguments, format);
    vsnprintf(refusal->sentence, sizeof refusal->sentence, format, arguments);
    va_end(arguments);
    return -EPERM;
}

static struct shown shorten(const struct text *text)
{
    struct shown shown;
    bool fits = text->length < sizeof shown.text;

    snprintf(shown.text, sizeof shown.text, "%.*s%s", fits ? (int)text->length : 190,
             text->data != NULL ? text->data : "", fits ? "" : "...");
    return shown;
}

struct shown policy_show(const char *value)
{
    CLEANUP_TEXT struct text printable = {0};

    text_add_printable(&printable, value, strlen(value));
    return shorten(&printable);
}

struct shown policy_show_address(const struct address *address)
{
    struct shown shown = {""};

    address_format(address, shown.text);
    return shown;
}

struct shown policy_show_prefix(const struct prefix *prefix)
{
    struct shown shown = {""};

    prefix_format(prefix, shown.text);
    return shown;
}

struct shown policy_show_prefixes(const struct settings_prefixes *prefixes)
{
    CLEANUP_TEXT struct text list = {0};

    for (uint32_t i = 0; i < prefixes->count; i++) {
        text_format(&list, "%s%s", i > 0 ? " " : "", policy_show_prefix(&prefixes->items[i]).text);
    }
    if (prefixes->count == 0) {
        text_add(&list, "none");
    }
    return shorten(&list);
}

struct shown policy_show_duration(uint64_t seconds)
{
    CLEANUP_TEXT struct text duration = {0};

    text_add_duration(&duration, seconds);
    return shorten(&duration);
}
