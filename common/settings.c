/* The table of keys is written once, as KEYS, and becomes two arrays: the rows that conf.h works
 * from, and the defaults, which go through the same setters. */
#include "settings.h"

#include "cleanup.h"
#include "messages.h"
#include "settings_check.h"
#include "settings_set.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX   (1024 * 1024)
#define SOCKET_MAX 107 /* bytes of a path in struct sockaddr_un, unix(7) */
#define YEARS      (3650u * 86400)
#define BLOCKS_MIN 4096u
#define BLOCKS_MAX 65536u

/* clang-format off */
/* key(section, key, setter, field, min, max, default) */
#define KEYS(key) \
    key("repository", "images", conf_set_path, images, 0, 0, "/srv/cdss/images") \
    key("repository", "shares", conf_set_path, shares, 0, 0, "/srv/cdss/shares") \
    key("broker", "socket", conf_set_path, socket, 0, SOCKET_MAX, "/run/cdss/broker.sock") \
    key("broker", "run", conf_set_path, run, 0, 0, "/run/cdss") \
    key("broker", "state", conf_set_path, state, 0, 0, "/var/lib/cdss") \
    key("broker", "templates", conf_set_path, templates, 0, 0, "/usr/share/cdss/templates") \
    key("broker", "admin_group", conf_set_text, admin_group, 0, 32, "cdss-admin") \
    key("broker", "web_users", settings_set_accounts, web_users, 0, 0, "cdss-web") \
    key("broker", "history", conf_set_duration, history, 0, YEARS, "365d") \
    key("broker", "log_format", settings_set_log_format, log_format, 0, 0, "text") \
    key("network", "ports", settings_set_range, ports, 1024, 65535, "21000-29999") \
    key("network", "passive", settings_set_range, passive, 1024, 65535, "30000-31999") \
    key("network", "mark_prefix", settings_set_mark, mark_prefix, 1, 255, "0x5b") \
    key("network", "nflog", conf_set_uint32, nflog, 0, 65535, "5") \
    key("network", "max_flows", conf_set_uint32, max_flows, 0, 1000000, "2000") \
    key("policy", "lifetime", conf_set_duration, lifetime, 1, YEARS, "24h") \
    key("policy", "max_lifetime", conf_set_duration, max_lifetime, 0, YEARS, "72h") \
    key("policy", "admin_max_lifetime", conf_set_duration, admin_max_lifetime, 0, YEARS, "0") \
    key("policy", "networks", settings_set_prefixes, networks, 0, 0, \
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fd00::/8") \
    key("policy", "claim", settings_set_prefixes, claim, 0, 0, "") \
    key("policy", "web_max_prefix", settings_set_lengths, web_max_prefix4, 0, 0, "32/128") \
    key("policy", "protocols", settings_set_protocols, protocols, 1, 0, \
        "http ftp tftp nfs smb afp") \
    key("policy", "max_shares", conf_set_uint32, max_shares, 0, BLOCKS_MAX, "1000") \
    key("policy", "max_images", conf_set_uint32, max_images, 0, MESSAGE_IMAGES_MAX, "64") \
    key("policy", "max_clients", conf_set_uint32, max_clients, 0, MESSAGE_CLIENTS_MAX, "64") \
    key("policy", "max_mounts", conf_set_uint32, max_mounts, 0, 1000000, "2000") \
    key("policy", "max_per_requester", conf_set_uint32, max_per_requester, 0, 1000000, "3") \
    key("policy", "max_preparing", conf_set_uint32, max_preparing, 0, 1000000, "8") \
    key("mount", "readers", settings_set_readers, readers, 0, 0, "kernel fuseiso") \
    key("mount", "filesystems", settings_set_filesystems, filesystems, 0, 0, \
        "iso9660 udf squashfs erofs") \
    key("sandbox", "root", conf_set_path, root, 0, 0, "/") \
    key("uids", "first", conf_set_uint32, uid_first, 65536, UINT32_MAX, "2100000000") \
    key("uids", "per_share", conf_set_uint32, uid_per_share, 4, 1024, "4") \
    key("web", "trusted_proxies", settings_set_prefixes, trusted_proxies, 0, 0, "")
/* clang-format on */

#define ROW(section, name, set, field, min, max, value)                                            \
    {section, name, set, offsetof(struct settings, field), min, max},
#define DEFAULT(section, name, set, field, min, max, value) value,

static const struct conf_key keys[] = {KEYS(ROW)};
static const char *const defaults[] = {KEYS(DEFAULT)};

/* settings_set_lengths() fills both. */
_Static_assert(offsetof(struct settings, web_max_prefix6) ==
                   offsetof(struct settings, web_max_prefix4) + sizeof(uint32_t),
               "the two lengths of web_max_prefix lie side by side");

uint32_t settings_uid_blocks(const struct settings *settings)
{
    if (settings->max_shares == 0) {
        return BLOCKS_MAX;
    }
    return settings->max_shares > BLOCKS_MIN ? settings->max_shares : BLOCKS_MIN;
}

uint32_t settings_verify_uid(const struct settings *settings)
{
    return settings->uid_first + settings_uid_blocks(settings) * settings->uid_per_share;
}

static int apply(const char *section, const char *key, const char *value, void *user_data,
                 char *why, size_t why_size)
{
    if (strcmp(section, "web") == 0 && strcmp(key, "trusted_proxies") != 0) {
        return 0; /* cdss-web's own, which it reads itself */
    }
    if (strcmp(section, "ports") == 0) {
        return settings_set_public_port(user_data, key, value, why, why_size);
    }
    return conf_apply(keys, ARRAY_SIZE(keys), section, key, value, user_data, why, why_size);
}

/* A default that its own setter refuses is a mistake in KEYS, which the unit test finds. */
static void apply_default(struct settings *settings, const char *section, const char *key,
                          const char *value)
{
    char why[256];
    if (apply(section, key, value, settings, why, sizeof why) < 0) {
        abort();
    }
}

void settings_defaults(struct settings *ret)
{
    *ret = (struct settings){0};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        apply_default(ret, keys[i].section, keys[i].key, defaults[i]);
    }
    apply_default(ret, "ports", "http", "8080");
}

/* 0 is "no limit", but a message holds no more than this. */
static void bound_limits(struct settings *settings)
{
    if (settings->max_images == 0) {
        settings->max_images = MESSAGE_IMAGES_MAX;
    }
    if (settings->max_clients == 0) {
        settings->max_clients = MESSAGE_CLIENTS_MAX;
    }
}

int settings_parse(const char *name, const char *text, size_t length, struct settings *ret,
                   struct conf_error *ret_error)
{
    CLEANUP_FREE struct settings *settings = malloc(sizeof *settings);
    if (settings == NULL) {
        snprintf(ret_error->text, sizeof ret_error->text, "%.160s: no memory", name);
        return -ENOMEM;
    }
    settings_defaults(settings);
    int result = conf_read(name, text, length, apply, settings, ret_error);
    if (result < 0) {
        return result;
    }
    bound_limits(settings);
    char why[256];
    result = settings_check(settings, why, sizeof why);
    if (result < 0) {
        snprintf(ret_error->text, sizeof ret_error->text, "%.160s: %s", name, why);
        return result;
    }
    *ret = *settings;
    return 0;
}

int settings_load(const char *path, struct settings *ret, struct conf_error *ret_error)
{
    CLEANUP_FREE char *text = NULL;
    size_t length = 0;
    int result = text_read_file(AT_FDCWD, path, FILE_MAX, &text, &length);
    if (result == -ENOENT && strcmp(path, SETTINGS_FILE) == 0) {
        settings_defaults(ret);
        return 0;
    }
    if (result < 0) {
        snprintf(ret_error->text, sizeof ret_error->text, "%.160s: %s", path, strerror(-result));
        return result;
    }
    return settings_parse(path, text, length, ret, ret_error);
}

void settings_each_key(void (*visit)(const struct conf_key *row, const char *value,
                                     void *user_data),
                       void *user_data)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        visit(&keys[i], defaults[i], user_data);
    }
}

bool settings_has_word(const struct settings_words *words, const char *word)
{
    for (uint32_t i = 0; i < words->count; i++) {
        if (strcmp(words->items[i], word) == 0) {
            return true;
        }
    }
    return false;
}
