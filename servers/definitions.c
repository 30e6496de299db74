/*
 * The directory of definitions: every folder with a server.conf, with the configuration templates
 * that it names. What concerns several definitions is checked here.
 */
#include "definition.h"

#include "cleanup.h"
#include "definition_template.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFINITION_SIZE_MAX (64 * 1024)

static int read_config(int dirfd, const char *folder, struct definition_config *config,
                       struct conf_error *ret_error)
{
    char path[384], why[256] = "";
    size_t length = 0;
    snprintf(path, sizeof path, "%.255s/%s", folder, config->name);
    int r = text_read_file(dirfd, path, DEFINITION_SIZE_MAX, &config->text, &length);
    if (r == 0 && strlen(config->text) != length) {
        r = template_refuse(why, sizeof why, "holds a NUL");
    }
    if (r == 0) {
        r = template_check(config->text, template_server_variables, NULL, why, sizeof why);
    }
    if (r < 0) {
        snprintf(ret_error->text, sizeof ret_error->text, "%.128s: %s", path,
                 why[0] != '\0' ? why : strerror(-r));
    }
    return r;
}

static int read_configs(int dirfd, const char *folder, struct definition *definition,
                        struct conf_error *ret_error)
{
    for (uint32_t i = 0; i < definition->n_configs; i++) {
        int r = read_config(dirfd, folder, &definition->configs[i], ret_error);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* 1: read; 0: the folder has no definition (it may hold something else); or a negative errno. */
static int read_folder(int dirfd, const char *folder, struct definition *ret,
                       struct conf_error *ret_error)
{
    CLEANUP_FREE char *text = NULL;
    size_t length = 0;
    char path[384];
    snprintf(path, sizeof path, "%.255s/" DEFINITION_FILE, folder);
    int r = text_read_file(dirfd, path, DEFINITION_SIZE_MAX, &text, &length);
    if (r == -ENOENT || r == -ENOTDIR) {
        return 0;
    }
    if (r < 0) {
        snprintf(ret_error->text, sizeof ret_error->text, "%.255s: %s", path, strerror(-r));
        return r;
    }
    r = definition_parse(folder, text, length, ret, ret_error);
    if (r < 0) {
        return r;
    }
    r = read_configs(dirfd, folder, ret, ret_error);
    if (r < 0) {
        definition_clear(ret);
        return r;
    }
    return 1;
}

/* A public port leads to one server only. */
static int check_ports_apart(const struct definitions *definitions, const struct definition *added,
                             struct conf_error *ret_error)
{
    for (uint32_t i = 0; i < definitions->count; i++) {
        for (uint32_t p = 0; p < added->n_ports; p++) {
            if (definition_has_port(&definitions->items[i], &added->ports[p])) {
                snprintf(ret_error->text, sizeof ret_error->text,
                         "%s/" DEFINITION_FILE ": [server] public: port %u is already taken by %s",
                         added->name.text, added->ports[p].port, definitions->items[i].name.text);
                return -EINVAL;
            }
        }
    }
    return 0;
}

static bool has_config(const struct definition *definition, const char *name)
{
    for (uint32_t i = 0; i < definition->n_configs; i++) {
        if (strcmp(definition->configs[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* All configurations of a share lie in one directory of its sandbox. */
static int check_configs_apart(const struct definitions *definitions,
                               const struct definition *added, struct conf_error *ret_error)
{
    for (uint32_t i = 0; i < definitions->count; i++) {
        for (uint32_t c = 0; c < added->n_configs; c++) {
            if (has_config(&definitions->items[i], added->configs[c].name)) {
                snprintf(ret_error->text, sizeof ret_error->text,
                         "%s/" DEFINITION_FILE ": [server] config: %s is a file of %s, too",
                         added->name.text, added->configs[c].name, definitions->items[i].name.text);
                return -EINVAL;
            }
        }
    }
    return 0;
}

static int add_folder(int dirfd, const char *folder, struct definitions *definitions,
                      struct conf_error *ret_error)
{
    struct definition definition;
    int r = read_folder(dirfd, folder, &definition, ret_error);
    if (r <= 0) {
        return r;
    }
    r = check_ports_apart(definitions, &definition, ret_error);
    if (r == 0) {
        r = check_configs_apart(definitions, &definition, ret_error);
    }
    if (r == 0 && definitions->count == DEFINITIONS_MAX) {
        snprintf(ret_error->text, sizeof ret_error->text, "there are more than %d definitions",
                 DEFINITIONS_MAX);
        r = -E2BIG;
    }
    if (r < 0) {
        definition_clear(&definition);
        return r;
    }
    definitions->items[definitions->count++] = definition;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct definition *first = a, *second = b;
    if (first->order != second->order) {
        return first->order < second->order ? -1 : 1;
    }
    return strcmp(first->name.text, second->name.text);
}

static int load_all(DIR *stream, struct definitions *definitions, struct conf_error *ret_error)
{
    struct dirent *entry;
    while ((errno = 0, entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        int r = add_folder(dirfd(stream), entry->d_name, definitions, ret_error);
        if (r < 0) {
            return r;
        }
    }
    if (errno != 0) {
        snprintf(ret_error->text, sizeof ret_error->text, "templates: %s", strerror(errno));
        return -errno;
    }
    qsort(definitions->items, definitions->count, sizeof definitions->items[0], compare);
    return 0;
}

int definitions_load(const char *directory, struct definitions **ret, struct conf_error *ret_error)
{
    CLEANUP_DIR DIR *stream = opendir(directory);
    if (stream == NULL) {
        int r = -errno;
        snprintf(ret_error->text, sizeof ret_error->text, "%s: %s", directory, strerror(-r));
        return r;
    }
    struct definitions *definitions = calloc(1, sizeof *definitions);
    if (definitions == NULL) {
        snprintf(ret_error->text, sizeof ret_error->text, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    int r = load_all(stream, definitions, ret_error);
    if (r < 0) {
        definitions_free(definitions);
        return r;
    }
    *ret = definitions;
    return 0;
}

void definitions_free(struct definitions *definitions)
{
    if (definitions == NULL) {
        return;
    }
    for (uint32_t i = 0; i < definitions->count; i++) {
        definition_clear(&definitions->items[i]);
    }
    free(definitions);
}

const struct definition *definitions_find(const struct definitions *definitions, const char *name)
{
    for (uint32_t i = 0; i < definitions->count; i++) {
        if (strcmp(definitions->items[i].name.text, name) == 0) {
            return &definitions->items[i];
        }
    }
    return NULL;
}
