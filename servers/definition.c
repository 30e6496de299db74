/*
 * One row per key of server.conf; what concerns several keys, and whether every template expands,
 * is checked once the file was read, so that a wrong definition is found when the broker starts and
 * not when a share is made.
 */
#include "definition.h"

#include "cleanup.h"
#include "definition_template.h"
#include "supervisor_words.h"
#include "text.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFINITION_IDLE_MAX  86400
#define DEFINITION_PROCESSES 1024

/* ---- setters: one kind of value each ---- */

static int set_protocol(const struct conf_key *row, const char *value, void *target, char *why,
                        size_t why_size)
{
    struct protocol_name *field = (struct protocol_name *)((char *)target + row->offset);
    const char *phrase = "";
    int r = parse_protocol(value, strlen(value), field, &phrase);
    return r < 0 ? template_refuse(why, why_size, "%s", phrase) : 0;
}

static int parse_port(const char *word, size_t length, struct definition_port *ret, char *why,
                      size_t why_size)
{
    static const struct {
        const char *prefix;
        uint8_t transport;
    } transports[] = {{"tcp/", IPPROTO_TCP}, {"udp/", IPPROTO_UDP}};
    for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
        size_t skip = strlen(transports[i].prefix);
        if (length <= skip || memcmp(word, transports[i].prefix, skip) != 0) {
            continue;
        }
        uint64_t port = 0;
        const char *phrase = "";
        if (parse_number(word + skip, length - skip, 1, 65535, &port, &phrase) < 0) {
            return template_refuse(why, why_size, "the port %s", phrase);
        }
        *ret = (struct definition_port){transports[i].transport, (uint16_t)port};
        return 0;
    }
    return template_refuse(why, why_size, "is not of the form tcp/PORT or udp/PORT");
}

bool definition_has_port(const struct definition *definition, const struct definition_port *port)
{
    for (uint32_t i = 0; i < definition->n_ports; i++) {
        if (definition->ports[i].transport == port->transport &&
            definition->ports[i].port == port->port) {
            return true;
        }
    }
    return false;
}

static int add_port(struct definition *definition, const char *word, size_t length, char *why,
                    size_t why_size)
{
    struct definition_port port;
    if (definition->n_ports == DEFINITION_PORTS_MAX) {
        return template_refuse(why, why_size, "has more than %d ports", DEFINITION_PORTS_MAX);
    }
    int r = parse_port(word, length, &port, why, why_size);
    if (r < 0) {
        return r;
    }
    if (definition_has_port(definition, &port)) {
        return template_refuse(why, why_size, "names a port twice");
    }
    definition->ports[definition->n_ports++] = port;
    return 0;
}

static int add_config(struct definition *definition, const char *word, size_t length, char *why,
                      size_t why_size)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";
    struct definition_config *config = &definition->configs[definition->n_configs];
    if (definition->n_configs == DEFINITION_CONFIG_MAX) {
        return template_refuse(why, why_size, "has more than %d files", DEFINITION_CONFIG_MAX);
    }
    if (length >= sizeof config->name) {
        return template_refuse(why, why_size, "has a name that is too long");
    }
    if (word[0] == '.' || strspn(word, allowed) < length) {
        return template_refuse(why, why_size, "is no plain file name");
    }
    memcpy(config->name, word, length);
    config->name[length] = '\0';
    if (strcmp(config->name, DEFINITION_FILE) == 0) {
        return template_refuse(why, why_size, "is the definition itself");
    }
    definition->n_configs++;
    return 0;
}

typedef int add_word(struct definition *definition, const char *word, size_t length, char *why,
                     size_t why_size);

static int each_word(const char *value, add_word *add, void *target, char *why, size_t why_size)
{
    const char *word = value + strspn(value, " \t");
    while (*word != '\0') {
        size_t length = strcspn(word, " \t");
        int r = add(target, word, length, why, why_size);
        if (r < 0) {
            return r;
        }
        word += length;
        word += strspn(word, " \t");
    }
    return 0;
}

static int set_ports(const struct conf_key *row, const char *value, void *target, char *why,
                     size_t why_size)
{
    (void)row;
    return each_word(value, add_port, target, why, why_size);
}

static int set_configs(const struct conf_key *row, const char *value, void *target, char *why,
                       size_t why_size)
{
    (void)row;
    return each_word(value, add_config, target, why, why_size);
}

/* A value that is one of a few words: the row's `min` says which list. */
struct choice {
    const char *word;
    uint32_t value;
};

static int choose(const struct choice *choices, size_t n, const char *value, uint32_t *ret,
                  char *why, size_t why_size)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(choices[i].word, value) == 0) {
            *ret = choices[i].value;
            return 0;
        }
    }
    int used = snprintf(why, why_size, "is none of");
    for (size_t i = 0; i < n && used > 0 && (size_t)used < why_size; i++) {
        used += snprintf(why + used, why_size - (size_t)used, " %s", choices[i].word);
    }
    return -EINVAL;
}

static int set_start(const struct conf_key *row, const char *value, void *target, char *why,
                     size_t why_size)
{
    static const struct choice choices[] = {
        {"connection", START_CONNECTION}, {"datagram", START_DATAGRAM}, {"listen", START_LISTEN}};
    uint32_t chosen = 0;
    (void)row;
    int r = choose(choices, ARRAY_SIZE(choices), value, &chosen, why, why_size);
    if (r == 0) {
        ((struct definition *)target)->start = (enum definition_start)chosen;
    }
    return r;
}

static int set_network(const struct conf_key *row, const char *value, void *target, char *why,
                       size_t why_size)
{
    static const struct choice choices[] = {{"none", false}, {"host", true}};
    uint32_t chosen = 0;
    (void)row;
    int r = choose(choices, ARRAY_SIZE(choices), value, &chosen, why, why_size);
    if (r == 0) {
        ((struct definition *)target)->network_host = chosen;
    }
    return r;
}

static int set_user(const struct conf_key *row, const char *value, void *target, char *why,
                    size_t why_size)
{
    static const struct choice choices[] = {{"share", false}, {"root", true}};
    uint32_t chosen = 0;
    (void)row;
    int r = choose(choices, ARRAY_SIZE(choices), value, &chosen, why, why_size);
    if (r == 0) {
        ((struct definition *)target)->as_root = chosen;
    }
    return r;
}

static int set_helper(const struct conf_key *row, const char *value, void *target, char *why,
                      size_t why_size)
{
    static const struct choice choices[] = {{"ftp", 0}, {"tftp", 1}};
    uint32_t chosen = 0;
    if (value[0] == '\0') {
        return 0;
    }
    int r = choose(choices, ARRAY_SIZE(choices), value, &chosen, why, why_size);
    if (r == 0) {
        r = text_copy((char *)target + row->offset, sizeof((struct definition *)target)->helper,
                      choices[chosen].word);
    }
    return r;
}

static int set_idle(const struct conf_key *row, const char *value, void *target, char *why,
                    size_t why_size)
{
    uint64_t seconds = 0;
    const char *phrase = "";
    if (parse_duration(value, strlen(value), false, &seconds, &phrase) < 0) {
        return template_refuse(why, why_size, "%s", phrase);
    }
    if (seconds > row->max) {
        return template_refuse(why, why_size, "is longer than a day");
    }
    ((struct definition *)target)->idle = (uint32_t)seconds;
    return 0;
}

/* A command line: it must expand, begin with an absolute path (after words NAME=VALUE for its
 * environment), and fit into a plan. An empty one is none. */
static int set_command(const struct conf_key *row, const char *value, void *target, char *why,
                       size_t why_size)
{
    CLEANUP_FREE char *expanded = NULL;
    struct supervisor_words words;
    char **field = (char **)((char *)target + row->offset);
    if (value[0] == '\0') {
        return 0;
    }
    int r = template_check(value, template_server_variables, &expanded, why, why_size);
    if (r < 0) {
        return r;
    }
    if (words_split(expanded, &words) < 0) {
        return template_refuse(why, why_size, "is too long");
    }
    const char *program = words_program(&words);
    if (program == NULL || program[0] != '/') {
        return template_refuse(why, why_size, "names no program by its absolute path");
    }
    *field = strdup(value);
    return *field != NULL ? 0 : -ENOMEM;
}

#define FIELD(name) offsetof(struct definition, name)
const struct conf_key definition_keys[] = {
    {"server", "name", set_protocol, FIELD(name), 0, 0},
    {"server", "title", conf_set_text, FIELD(title), 1, sizeof((struct definition *)0)->title - 1},
    {"server", "order", conf_set_uint32, FIELD(order), 0, 1000000},
    {"server", "public", set_ports, 0, 0, 0},
    {"server", "start", set_start, 0, 0, 0},
    {"server", "network", set_network, 0, 0, 0},
    {"server", "user", set_user, 0, 0, 0},
    {"server", "program", set_command, FIELD(program), 0, 0},
    {"server", "check", set_command, FIELD(check), 0, 0},
    {"server", "config", set_configs, 0, 0, 0},
    {"server", "helper", set_helper, FIELD(helper), 0, 0},
    {"server", "idle", set_idle, 0, 1, DEFINITION_IDLE_MAX},
    {"server", "max_processes", conf_set_uint32, FIELD(max_processes), 1, DEFINITION_PROCESSES},
};
#undef FIELD
const size_t definition_keys_count = ARRAY_SIZE(definition_keys);

/* ---- one file ---- */

struct reading {
    struct definition *definition;
    uint32_t seen; /* a bit for each row of definition_keys[] */
};

static int add_show(struct definition *definition, const char *label, const char *value, char *why,
                    size_t why_size)
{
    struct definition_show *show = &definition->shows[definition->n_shows];
    if (definition->n_shows == DEFINITION_SHOW_MAX) {
        return template_refuse(why, why_size, "is one line too many");
    }
    if (label[0] == '\0' || strlen(label) >= sizeof show->label) {
        return template_refuse(why, why_size, "is no label");
    }
    if (expand_uses(value, "image") && expand_uses(value, "contents")) {
        return template_refuse(why, why_size, "names both {{image}} and {{contents}}");
    }
    int r = template_check(value, template_show_variables, NULL, why, why_size);
    if (r < 0) {
        return r;
    }
    show->text = strdup(value);
    if (show->text == NULL) {
        return -ENOMEM;
    }
    definition->n_shows++;
    return text_copy(show->label, sizeof show->label, label);
}

static int refuse_second(struct reading *reading, const char *section, const char *key, char *why,
                         size_t why_size)
{
    for (size_t i = 0; i < ARRAY_SIZE(definition_keys); i++) {
        if (strcmp(definition_keys[i].section, section) != 0 ||
            strcmp(definition_keys[i].key, key) != 0) {
            continue;
        }
        if (reading->seen & (UINT32_C(1) << i)) {
            return template_refuse(why, why_size, "is given twice");
        }
        reading->seen |= UINT32_C(1) << i;
    }
    return 0;
}

static int read_key(const char *section, const char *key, const char *value, void *user_data,
                    char *why, size_t why_size)
{
    struct reading *reading = user_data;
    if (strcmp(section, "show") == 0) {
        return add_show(reading->definition, key, value, why, why_size);
    }
    int r = refuse_second(reading, section, key, why, why_size);
    if (r < 0) {
        return r;
    }
    return conf_apply(definition_keys, ARRAY_SIZE(definition_keys), section, key, value,
                      reading->definition, why, why_size);
}

static bool ports_are_all(const struct definition *definition, uint8_t transport)
{
    for (uint32_t i = 0; i < definition->n_ports; i++) {
        if (definition->ports[i].transport != transport) {
            return false;
        }
    }
    return true;
}

/* What concerns several keys: NULL, or what is wrong. */
static const char *check_whole(const struct definition *definition, const char *name, bool start)
{
    if (strcmp(definition->name.text, name) != 0) {
        return "name is not the folder's name";
    }
    if (definition->n_ports == 0) {
        return "public is missing";
    }
    if (!start) {
        return "start is missing";
    }
    if (definition->program == NULL) {
        return "program is missing";
    }
    if (definition->start == START_CONNECTION && !ports_are_all(definition, IPPROTO_TCP)) {
        return "start=connection is for TCP ports alone";
    }
    if (definition->start == START_DATAGRAM && !ports_are_all(definition, IPPROTO_UDP)) {
        return "start=datagram is for UDP ports alone";
    }
    return NULL;
}

static bool was_given(const struct reading *reading, const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(definition_keys); i++) {
        if (strcmp(definition_keys[i].key, key) == 0) {
            return reading->seen & (UINT32_C(1) << i);
        }
    }
    return false;
}

static int parse_into(const char *name, const char *text, size_t length,
                      struct definition *definition, struct conf_error *ret_error)
{
    char file[128];
    struct reading reading = {.definition = definition};
    snprintf(file, sizeof file, "%.64s/" DEFINITION_FILE, name);
    int r = conf_read(file, text, length, read_key, &reading, ret_error);
    if (r < 0) {
        return r;
    }
    const char *wrong = check_whole(definition, name, was_given(&reading, "start"));
    if (wrong != NULL) {
        snprintf(ret_error->text, sizeof ret_error->text, "%s: [server] %s", file, wrong);
        return -EINVAL;
    }
    if (definition->title[0] == '\0') {
        return text_copy(definition->title, sizeof definition->title, name);
    }
    return 0;
}

int definition_parse(const char *name, const char *text, size_t length, struct definition *ret,
                     struct conf_error *ret_error)
{
    struct definition definition = {.order = 100, .idle = 60, .max_processes = 32};
    int r = parse_into(name, text, length, &definition, ret_error);
    if (r < 0) {
        definition_clear(&definition);
        return r;
    }
    *ret = definition;
    return 0;
}

void definition_clear(struct definition *definition)
{
    free(definition->program);
    free(definition->check);
    for (uint32_t i = 0; i < definition->n_configs; i++) {
        free(definition->configs[i].text);
    }
    for (uint32_t i = 0; i < definition->n_shows; i++) {
        free(definition->shows[i].text);
    }
    *definition = (struct definition){0};
}
