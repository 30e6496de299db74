/*
 * Templates: {{name}} is replaced by the variable's value, {{name|filter}} by the filtered value.
 * The value is never looked at again, so a value cannot bring in another variable. Filters: url
 * (percent-encoding of a path), quoted (a C-like string's inside: \" and \\ escaped, control
 * characters refused). An unknown name or filter, or an unclosed {{, is an error.
 */
#pragma once

#include "text.h"

struct expand_variable {
    const char *name, *value;
};

/* Appends the expansion of `text` to *out. 0, or -EINVAL with *ret_why a constant phrase (may be
 * NULL); -ENOMEM. `variables` ends with {NULL, NULL}. */
int expand(const char *text, size_t length, const struct expand_variable *variables,
           struct text *out, const char **ret_why);

/* True when `text` names {{name}} or {{name|filter}}. */
int expand_uses(const char *text, const char *name);
