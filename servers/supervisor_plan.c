/* The plan is one mapping; services are looked at in place. */
#include "supervisor_plan.h"

#include "supervisor_words.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int check_words(const struct supervisor_words *words)
{
    const char *argv[WORDS_MAX + 1], *env[WORDS_VALUE_MAX + 1];
    return words_vectors(words, argv, env) < 0 ? -EBADMSG : 0;
}

int plan_check_service(const struct supervisor_service *service)
{
    bool reader = service->start == SUPERVISOR_READER;
    if (service->start > SUPERVISOR_READER || service->n_sockets > SUPERVISOR_SOCKETS_MAX ||
        service->n_sockets == 0 || (reader && service->n_sockets != 1)) {
        return -EBADMSG;
    }
    if (service->name[sizeof service->name - 1] != '\0') {
        return -EBADMSG;
    }
    if (service->check.bytes[0] != '\0' && check_words(&service->check) < 0) {
        return -EBADMSG;
    }
    return check_words(&service->program);
}

static int check_plan(const struct supervisor_plan *plan, size_t size)
{
    if (plan->magic != SUPERVISOR_MAGIC || plan->size != size ||
        plan->n_services > SUPERVISOR_SERVICES_MAX ||
        size != sizeof *plan + plan->n_services * sizeof plan->services[0]) {
        return -EBADMSG;
    }
    for (uint32_t i = 0; i < plan->n_services; i++) {
        int r = plan_check_service(&plan->services[i]);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int plan_open(int fd, const struct supervisor_plan **ret)
{
    struct stat status;
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    size_t size = (size_t)status.st_size;
    if (size < sizeof(struct supervisor_plan)) {
        return -EBADMSG;
    }
    void *plan = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (plan == MAP_FAILED) {
        return -errno;
    }
    int r = check_plan(plan, size);
    if (r < 0) {
        munmap(plan, size);
        return r;
    }
    *ret = plan;
    return 0;
}
