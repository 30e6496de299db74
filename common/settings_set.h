/*
 * The setters of settings.c's table for what only cdss.conf has: lists, ranges, choices. Each reads
 * the whole value anew (a second line with the same key replaces the first) and leaves the target
 * alone on failure. As struct conf_key's `set`; the field's type stands behind each.
 */
#pragma once

#include "conf.h"

typedef int settings_setter(const struct conf_key *row, const char *value, void *target, char *why,
                            size_t why_size);

settings_setter settings_set_range;       /* struct settings_range: 21000-29999 */
settings_setter settings_set_prefixes;    /* struct settings_prefixes */
settings_setter settings_set_accounts;    /* struct settings_words: system users */
settings_setter settings_set_protocols;   /* struct settings_words: names as in templates/ */
settings_setter settings_set_readers;     /* struct settings_words: of kernel, fuseiso */
settings_setter settings_set_filesystems; /* struct settings_words: of those of image.h */
settings_setter settings_set_log_format;  /* uint32_t: text, json */
settings_setter settings_set_mark;        /* uint32_t, min to max: 91 or 0x5b */
settings_setter settings_set_lengths;     /* uint32_t[2]: prefix lengths, 32/128 */

struct settings;
/* A key of [ports] is the protocol's own name, so there is no row for it. */
int settings_set_public_port(struct settings *settings, const char *protocol, const char *value,
                             char *why, size_t why_size);
