/*
 * /etc/cdss/cdss.conf (cdss.conf(5)): every key optional, every path may point elsewhere, so that a
 * whole system runs from a temporary directory. One table in settings.c says sections, keys, bounds
 * and defaults.
 */
#pragma once

#include "address.h"
#include "conf.h"
#include "log.h"
#include "parse.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_FILE     "/etc/cdss/cdss.conf"
#define SETTINGS_LIST_MAX 32

struct settings_range {
    uint16_t first, last;
};

struct settings_prefixes {
    struct prefix items[SETTINGS_LIST_MAX];
    uint32_t count;
};

/* A list of short words: protocol names, filesystem names, user names. */
struct settings_words {
    char items[SETTINGS_LIST_MAX][32];
    uint32_t count;
};

struct settings_port {
    struct protocol_name protocol;
    uint16_t port;
};

struct settings {
    /* [repository] */
    char images[PATH_MAX];
    char shares[PATH_MAX];
    /* [broker] */
    char socket[PATH_MAX];
    char run[PATH_MAX];
    char state[PATH_MAX];
    char templates[PATH_MAX];
    char admin_group[33];
    struct settings_words web_users;
    uint64_t history;    /* s; 0 = for ever */
    uint32_t log_format; /* enum log_format */
    /* [network] */
    struct settings_range ports;
    struct settings_range passive;
    uint32_t mark_prefix; /* 1-255: the upper 8 bits of a mark */
    uint32_t nflog;       /* group of NFLOG records; 0: none */
    uint32_t max_flows;   /* connections of one share at a time; 0: no limit */
    /* [ports] */
    struct settings_port public_ports[SETTINGS_LIST_MAX];
    uint32_t n_public_ports;
    /* [policy] */
    uint64_t lifetime, max_lifetime, admin_max_lifetime; /* s; 0 = no limit */
    struct settings_prefixes networks; /* empty: anybody (defaults are private networks) */
    struct settings_prefixes claim;
    uint32_t web_max_prefix4, web_max_prefix6;
    struct settings_words protocols;
    uint32_t max_shares, max_images, max_clients, max_mounts, max_per_requester, max_preparing;
    /* [mount] */
    struct settings_words readers;     /* kernel, fuseiso */
    struct settings_words filesystems; /* iso9660 udf squashfs erofs ... */
    /* [sandbox] */
    char root[PATH_MAX];
    /* [uids] */
    uint32_t uid_first, uid_per_share;
    /* [web]: what concerns the broker, too; cdss-web reads the rest of its section */
    struct settings_prefixes trusted_proxies;
};

void settings_defaults(struct settings *ret);

/* Reads `path` over the defaults and checks what concerns several keys (port ranges apart from each
 * other and from public ports, ...). A missing file is an error unless path is SETTINGS_FILE.
 * 0 or a negative errno with *ret_error filled; *ret is untouched on failure. */
int settings_load(const char *path, struct settings *ret, struct conf_error *ret_error);

/* The same from memory (for tests and fuzzing). */
int settings_parse(const char *name, const char *text, size_t length, struct settings *ret,
                   struct conf_error *ret_error);

/* How many blocks of uid_per_share uids, from uid_first on, belong to shares: one for every share
 * that may be alive, and at least 4096, so that a block is not used again soon. settings_parse()
 * has checked that they end below 2^32. */
uint32_t settings_uid_blocks(const struct settings *settings);

/* The uid behind the last block, under which passwords are checked and nothing else runs. */
uint32_t settings_verify_uid(const struct settings *settings);

/* Calls `visit` for each key with its default: [ports], where any protocol is a key, left out, and
 * of [web] only what the broker reads. For what must say the same as the table: the manual. */
void settings_each_key(void (*visit)(const struct conf_key *row, const char *value,
                                     void *user_data),
                       void *user_data);

bool settings_has_word(const struct settings_words *words, const char *word);
