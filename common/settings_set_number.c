/* Setters of numbers that are written in a way of their own. */
#include "settings_set.h"

#include "cleanup.h"
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void store(const struct conf_key *row, void *target, const void *value, size_t size)
{
    memcpy((char *)target + row->offset, value, size);
}

/* Two numbers with `between` between them; nothing else around. */
static int parse_pair(const char *value, char between, uint64_t min, const uint64_t max[2],
                      uint64_t ret[2])
{
    const char *at = strchr(value, between);
    if (at == NULL || parse_number(value, (size_t)(at - value), min, max[0], &ret[0], NULL) < 0 ||
        parse_number(at + 1, strlen(at + 1), min, max[1], &ret[1], NULL) < 0) {
        return -EINVAL;
    }
    return 0;
}

int settings_set_range(const struct conf_key *row, const char *value, void *target, char *why,
                       size_t why_size)
{
    const uint64_t max[2] = {row->max, row->max};
    uint64_t pair[2];
    if (parse_pair(value, '-', row->min, max, pair) < 0 || pair[0] > pair[1]) {
        snprintf(why, why_size, "\"%.40s\" is not FIRST-LAST, from %llu to %llu", value,
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return -EINVAL;
    }
    struct settings_range range = {.first = (uint16_t)pair[0], .last = (uint16_t)pair[1]};
    store(row, target, &range, sizeof range);
    return 0;
}

int settings_set_lengths(const struct conf_key *row, const char *value, void *target, char *why,
                         size_t why_size)
{
    static const uint64_t max[2] = {32, 128};
    uint64_t pair[2];
    if (parse_pair(value, '/', 1, max, pair) < 0) {
        snprintf(why, why_size, "\"%.40s\" is not two prefix lengths like 32/128", value);
        return -EINVAL;
    }
    const uint32_t lengths[2] = {(uint32_t)pair[0], (uint32_t)pair[1]};
    store(row, target, lengths, sizeof lengths);
    return 0;
}

int settings_set_log_format(const struct conf_key *row, const char *value, void *target, char *why,
                            size_t why_size)
{
    static const char *const names[] = {[LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json"};
    for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            store(row, target, &i, sizeof i);
            return 0;
        }
    }
    snprintf(why, why_size, "\"%.40s\" is neither text nor json", value);
    return -EINVAL;
}

/* 0x and one or two digits. */
static int parse_hex_byte(const char *value, uint64_t *ret)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    size_t length = strlen(value);
    if (length < 3 || length > 4 || strspn(value + 2, digits) != length - 2) {
        return -EINVAL;
    }
    *ret = 0;
    for (const char *digit = value + 2; *digit != '\0'; digit++) {
        *ret = *ret * 16 + (uint64_t)(strchr(digits, *digit) - digits) % 16;
    }
    return 0;
}

int settings_set_mark(const struct conf_key *row, const char *value, void *target, char *why,
                      size_t why_size)
{
    bool is_hex = strncmp(value, "0x", 2) == 0;
    uint64_t number = 0;
    int result = is_hex ? parse_hex_byte(value, &number)
                        : parse_number(value, strlen(value), row->min, row->max, &number, NULL);
    if (result < 0 || number < row->min || number > row->max) {
        snprintf(why, why_size, "\"%.40s\" is not a number from %llu to %llu, nor 0x%llx to 0x%llx",
                 value, (unsigned long long)row->min, (unsigned long long)row->max,
                 (unsigned long long)row->min, (unsigned long long)row->max);
        return -EINVAL;
    }
    uint32_t mark = (uint32_t)number;
    store(row, target, &mark, sizeof mark);
    return 0;
}

static struct settings_port *find_port(struct settings *settings, const struct protocol_name *name)
{
    for (uint32_t i = 0; i < settings->n_public_ports; i++) {
        if (strcmp(settings->public_ports[i].protocol.text, name->text) == 0) {
            return &settings->public_ports[i];
        }
    }
    bool full = settings->n_public_ports == SETTINGS_LIST_MAX;
    return full ? NULL : &settings->public_ports[settings->n_public_ports++];
}

int settings_set_public_port(struct settings *settings, const char *protocol, const char *value,
                             char *why, size_t why_size)
{
    struct protocol_name name;
    const char *phrase;
    uint64_t number;
    if (parse_protocol(protocol, strlen(protocol), &name, &phrase) < 0) {
        snprintf(why, why_size, "the protocol's name %s", phrase);
        return -EINVAL;
    }
    if (parse_number(value, strlen(value), 1, UINT16_MAX, &number, &phrase) < 0) {
        snprintf(why, why_size, "\"%.40s\" is not a port: it %s", value, phrase);
        return -EINVAL;
    }
    struct settings_port *port = find_port(settings, &name);
    if (port == NULL) {
        snprintf(why, why_size, "is one too many: %d are allowed", SETTINGS_LIST_MAX);
        return -EINVAL;
    }
    *port = (struct settings_port){.protocol = name, .port = (uint16_t)number};
    return 0;
}
