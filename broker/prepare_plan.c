/*
 * From definitions to the supervisor's plan: command lines and configurations are expanded here,
 * once, by the broker, so that nothing in the sandbox parses a template.
 */
#include "cleanup.h"
#include "expand.h"
#include "prepare_job.h"
#include "supervisor_words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_SIZE 12

/* The variables of one protocol, with room for its numbers. docs/definitions.md lists the names. */
struct variables {
    char numbers[7][NUMBER_SIZE];
    struct expand_variable table[16];
};

static void fill_variables(const struct job *job, const struct definition *definition,
                           uint16_t instance_port, struct variables *ret)
{
    const struct settings *settings = &job->broker->settings;
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {{"idle", definition->idle},
                   {"max_processes", definition->max_processes},
                   {"port", share_public_port(job->broker, definition, 0)},
                   {"instance_port", instance_port},
                   {"passive_first", settings->passive.first},
                   {"passive_last", settings->passive.last},
                   {"uid_user", SANDBOX_USER}};
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        snprintf(ret->numbers[i], NUMBER_SIZE, "%u", numbers[i].value);
        ret->table[n++] = (struct expand_variable){numbers[i].name, ret->numbers[i]};
    }
    ret->table[n++] = (struct expand_variable){"tree", SANDBOX_TREE};
    ret->table[n++] = (struct expand_variable){"config", SANDBOX_CONFIG};
    ret->table[n++] = (struct expand_variable){"programs", SANDBOX_PROGRAMS};
    ret->table[n++] = (struct expand_variable){"user", job->share->row.user.text};
    ret->table[n] = (struct expand_variable){NULL, NULL};
}

static int expand_words(const char *template, const struct variables *variables,
                        struct supervisor_words *ret)
{
    CLEANUP_TEXT struct text line = {0};

    int r = expand(template, strlen(template), variables->table, &line, NULL);
    if (r == 0 && !text_ok(&line)) {
        r = -ENOMEM;
    }
    return r < 0 ? r : words_split(line.data, ret);
}

static int add_file(struct job_plan *plan, const struct definition *definition,
                    const struct definition_config *config, const struct variables *variables)
{
    CLEANUP_TEXT struct text text = {0};

    int r = expand(config->text, strlen(config->text), variables->table, &text, NULL);
    if (r < 0 || !text_ok(&text)) {
        return r < 0 ? r : -ENOMEM;
    }
    char *owned = text_take(&text);
    if (owned == NULL) {
        return -ENOMEM;
    }
    plan->files[plan->n_files++] = (struct sandbox_file){
        .name = config->name,
        .text = owned,
        .owner = definition->as_root ? SANDBOX_ROOT : SANDBOX_USER,
    };
    return 0;
}

static enum supervisor_start start_of(enum definition_start start)
{
    static const enum supervisor_start table[] = {
        [START_CONNECTION] = SUPERVISOR_CONNECTION,
        [START_DATAGRAM] = SUPERVISOR_DATAGRAM,
        [START_LISTEN] = SUPERVISOR_LISTEN,
    };

    return table[start];
}

static int add_service(struct job *job, uint32_t n, struct job_plan *plan)
{
    const struct definition *definition =
        definitions_find(job->broker->definitions, job->share->row.protocols[n].name.text);
    const struct ports_bound *ports = &job->ports[n];
    struct supervisor_service *service = &plan->plan->services[plan->plan->n_services++];
    struct variables variables;

    fill_variables(job, definition, ports->port, &variables);
    *service = (struct supervisor_service){
        .start = start_of(definition->start),
        .network_host = definition->network_host,
        .uid = definition->as_root ? SANDBOX_ROOT : SANDBOX_USER,
        .gid = definition->as_root ? SANDBOX_ROOT : SANDBOX_USER,
        .max_processes = definition->max_processes,
        .n_sockets = ports->count,
    };
    snprintf(service->name, sizeof service->name, "%s", definition->name.text);
    for (uint32_t i = 0; i < ports->count; i++) {
        service->sockets[i] = ports->fds[i];
        service->is_stream[i] = (uint32_t)ports->is_stream[i];
    }
    int r = expand_words(definition->program, &variables, &service->program);
    if (r == 0 && definition->check != NULL) {
        r = expand_words(definition->check, &variables, &service->check);
    }
    for (uint32_t i = 0; r == 0 && i < definition->n_configs; i++) {
        r = add_file(plan, definition, &definition->configs[i], &variables);
    }
    plan->any_host |= definition->network_host;
    return r;
}

/* The words are those that fuseiso(1) and libfuse 2 need: cdss-fusermount says why. */
int job_reader(const struct job_image *image, struct supervisor_service *ret)
{
    static const char *const before[] = {"/usr/bin/fuseiso", "-n"};
    static const char *const after[] = {SANDBOX_EMPTY, "-f", "-o", "auto_unmount"};
    char path[sizeof SANDBOX_TREE + 1 + IMAGE_PATH_MAX];
    int r = 0;

    *ret = (struct supervisor_service){.name = "reader",
                                       .start = SUPERVISOR_READER,
                                       .uid = SANDBOX_USER,
                                       .gid = SANDBOX_USER,
                                       .max_processes = 1,
                                       .n_sockets = 1,
                                       .sockets = {-1}};
    snprintf(path, sizeof path, SANDBOX_TREE "/%s", image->row.path.text);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(before); i++) {
        r = words_add(&ret->program, before[i]);
    }
    r = r < 0 ? r : words_add(&ret->program, path);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(after); i++) {
        r = words_add(&ret->program, after[i]);
    }
    return r;
}

static uint32_t count_files(const struct job *job)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < job->share->row.n_protocols; i++) {
        const struct definition *definition =
            definitions_find(job->broker->definitions, job->share->row.protocols[i].name.text);
        n += definition->n_configs;
    }
    return n;
}

int job_make_plan(struct job *job, struct job_plan *ret)
{
    size_t size = sizeof(struct supervisor_plan) +
                  SUPERVISOR_SERVICES_MAX * sizeof(struct supervisor_service);
    struct job_plan plan = {.plan = calloc(1, size),
                            .files = calloc(count_files(job) + 1, sizeof *plan.files)};
    int r = plan.plan == NULL || plan.files == NULL ? -ENOMEM : 0;

    for (uint32_t i = 0; r == 0 && i < job->share->row.n_protocols; i++) {
        r = add_service(job, i, &plan);
        if (r < 0) {
            job_fail(job, r, "protocol", "The definition of %s cannot be expanded: %s.",
                     job->share->row.protocols[i].name.text, strerror(-r));
        }
    }
    for (uint32_t i = 0; r == 0 && i < job->n_images; i++) {
        if (job->images[i].driver == IMAGE_DRIVER_FUSEISO) {
            r = job_reader(&job->images[i], &plan.plan->services[plan.plan->n_services++]);
        }
    }
    if (r < 0) {
        job_free_plan(&plan);
        return r;
    }
    plan.plan->magic = SUPERVISOR_MAGIC;
    plan.plan->size = (uint32_t)(sizeof(struct supervisor_plan) +
                                 plan.plan->n_services * sizeof(struct supervisor_service));
    plan.plan->deadline_fd = job->deadline_fd;
    plan.plan->control_fd = job->control_fd;
    plan.plan->ready_fd = job->ready_write_fd;
    plan.plan->status_fd = job->status_fd;
    *ret = plan;
    return 0;
}

void job_free_plan(struct job_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_files; i++) {
        free((char *)(uintptr_t)plan->files[i].text);
    }
    free(plan->files);
    free(plan->plan);
    *plan = (struct job_plan){0};
}
