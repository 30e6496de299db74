/* The table's side of conf.h: finding the row of a key, and the setters of plain types. */
#include "conf.h"

#include "parse.h"
#include "text.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int conf_apply(const struct conf_key *rows, size_t n_rows, const char *section, const char *key,
               const char *value, void *target, char *why, size_t why_size)
{
    bool known = false;
    for (size_t i = 0; i < n_rows; i++) {
        if (strcmp(rows[i].section, section) != 0) {
            continue;
        }
        known = true;
        if (strcmp(rows[i].key, key) == 0) {
            return rows[i].set(&rows[i], value, target, why, why_size);
        }
    }
    snprintf(why, why_size, "there is no such %s", known ? "key" : "section");
    return -ENOENT;
}

static int set_bounded_text(char *field, size_t min, size_t max, const char *value, char *why,
                            size_t why_size)
{
    size_t length = strlen(value);
    if (length < min || length > max) {
        snprintf(why, why_size, "is %s than %zu bytes", length < min ? "shorter" : "longer",
                 length < min ? min : max);
        return -EINVAL;
    }
    return text_copy(field, max + 1, value);
}

int conf_set_text(const struct conf_key *row, const char *value, void *target, char *why,
                  size_t why_size)
{
    return set_bounded_text((char *)target + row->offset, row->min, row->max, value, why, why_size);
}

/* A path's own bound comes from what uses it: a socket's address holds 107 bytes. */
int conf_set_path(const struct conf_key *row, const char *value, void *target, char *why,
                  size_t why_size)
{
    if (value[0] != '/') {
        snprintf(why, why_size, "\"%.80s\" is not an absolute path", value);
        return -EINVAL;
    }
    return set_bounded_text((char *)target + row->offset, 1, row->max > 0 ? row->max : PATH_MAX - 1,
                            value, why, why_size);
}

static int check_bounds(const struct conf_key *row, uint64_t number, const char *value,
                        const char *unit, char *why, size_t why_size)
{
    if (number < row->min || number > row->max) {
        snprintf(why, why_size, "%.40s is %s %llu%s", value, number < row->min ? "below" : "above",
                 (unsigned long long)(number < row->min ? row->min : row->max), unit);
        return -EINVAL;
    }
    return 0;
}

int conf_set_uint32(const struct conf_key *row, const char *value, void *target, char *why,
                    size_t why_size)
{
    uint64_t number;
    const char *phrase;
    if (parse_number(value, strlen(value), 0, UINT64_MAX, &number, &phrase) < 0) {
        snprintf(why, why_size, "\"%.40s\" %s", value, phrase);
        return -EINVAL;
    }
    int result = check_bounds(row, number, value, "", why, why_size);
    if (result == 0) {
        uint32_t narrow = (uint32_t)number;
        memcpy((char *)target + row->offset, &narrow, sizeof narrow);
    }
    return result;
}

int conf_set_duration(const struct conf_key *row, const char *value, void *target, char *why,
                      size_t why_size)
{
    uint64_t seconds;
    const char *phrase;
    if (parse_duration(value, strlen(value), row->min == 0, &seconds, &phrase) < 0) {
        snprintf(why, why_size, "\"%.40s\" %s", value, phrase);
        return -EINVAL;
    }
    int result = check_bounds(row, seconds, value, " s", why, why_size);
    if (result == 0) {
        memcpy((char *)target + row->offset, &seconds, sizeof seconds);
    }
    return result;
}
