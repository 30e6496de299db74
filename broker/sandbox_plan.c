/* Final numbers: 3 the plan, then every descriptor that it names, in the order of the plan. The
 * parent writes the numbers down, the new process moves the descriptors there. */
#include "sandbox_steps.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRST (SUPERVISOR_PLAN_FD + 1)

/* Notes the descriptor and puts its final number in its place; -1 stays what it is. */
static void name_descriptor(struct sandbox_descriptors *descriptors, int32_t *field)
{
    if (*field >= 0) {
        descriptors->from[descriptors->count] = *field;
        *field = FIRST + (int32_t)descriptors->count++;
    }
}

/* The next FUSE image's descriptor; the plan's readers stand in the same order. */
static int give_fuse(struct supervisor_service *service, const int *fuse, uint32_t n_fuse,
                     uint32_t *next)
{
    while (*next < n_fuse && fuse[*next] < 0) {
        (*next)++;
    }
    if (*next == n_fuse || service->n_sockets != 1) {
        return -EINVAL;
    }
    service->sockets[0] = fuse[(*next)++];
    return 0;
}

static int name_services(struct supervisor_plan *plan, const int *fuse, uint32_t n_fuse,
                         struct sandbox_descriptors *descriptors)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < plan->n_services; i++) {
        struct supervisor_service *service = &plan->services[i];
        if (service->n_sockets > SUPERVISOR_SOCKETS_MAX) {
            return -EINVAL;
        }
        if (service->start == SUPERVISOR_READER) {
            int r = give_fuse(service, fuse, n_fuse, &next);
            if (r < 0) {
                return r;
            }
        }
        for (uint32_t j = 0; j < service->n_sockets; j++) {
            name_descriptor(descriptors, &service->sockets[j]);
        }
    }
    while (next < n_fuse && fuse[next] < 0) {
        next++;
    }
    return next == n_fuse ? 0 : -EINVAL; /* an image without its reader would hang whoever looks */
}

static int seal(const struct supervisor_plan *plan, int *ret)
{
    CLEANUP_CLOSE int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    ssize_t written = write(fd, plan, plan->size);
    if (written != (ssize_t)plan->size) {
        return written < 0 ? -errno : -ENOSPC;
    }
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        return -errno;
    }
    *ret = TAKE_FD(fd);
    return 0;
}

int sandbox_plan_make(const struct supervisor_plan *plan, const int *fuse, uint32_t n_fuse,
                      struct sandbox_descriptors *ret)
{
    if (plan->magic != SUPERVISOR_MAGIC || plan->n_services > SUPERVISOR_SERVICES_MAX ||
        plan->size != sizeof *plan + plan->n_services * sizeof plan->services[0]) {
        return -EINVAL;
    }
    CLEANUP_FREE struct supervisor_plan *copy = malloc(plan->size);
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy, plan, plan->size);
    struct sandbox_descriptors descriptors = {.plan_fd = -1};
    int32_t *const single[] = {&copy->deadline_fd, &copy->control_fd, &copy->ready_fd,
                               &copy->status_fd};
    for (size_t i = 0; i < ARRAY_SIZE(single); i++) {
        name_descriptor(&descriptors, single[i]);
    }
    int r = name_services(copy, fuse, n_fuse, &descriptors);
    if (r == 0) {
        r = seal(copy, &descriptors.plan_fd);
    }
    if (r == 0) {
        *ret = descriptors;
    }
    return r;
}

static int move_to(int fd, int number, int flags)
{
    return dup3(fd, number, flags) < 0 ? -errno : 0;
}

static int null_streams(bool keep_stderr)
{
    CLEANUP_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        return -errno;
    }
    for (int number = 0; number <= (keep_stderr ? 1 : 2); number++) {
        int r =
            null == number ? (fcntl(null, F_SETFD, 0) < 0 ? -errno : 0) : move_to(null, number, 0);
        if (r < 0) {
            return r;
        }
    }
    if (null <= 2) {
        null = -1; /* it is one of them */
    }
    return 0;
}

/* First everything goes above all final numbers, then down: no move can hit a descriptor that is
 * still waiting for its own, nor be one onto itself, which dup3(2) refuses. */
int sandbox_plan_place(const struct sandbox_descriptors *descriptors, bool keep_stderr, int **keep,
                       unsigned n_keep)
{
    int high[1 + sizeof descriptors->from / sizeof descriptors->from[0]];
    int last = FIRST + (int)descriptors->count, floor = last + (int)n_keep;
    for (unsigned i = 0; i <= descriptors->count; i++) {
        int from = i == 0 ? descriptors->plan_fd : descriptors->from[i - 1];
        high[i] = fcntl(from, F_DUPFD_CLOEXEC, floor);
        if (high[i] < 0) {
            return -errno;
        }
    }
    for (unsigned i = 0; i < n_keep; i++) {
        *keep[i] = fcntl(*keep[i], F_DUPFD_CLOEXEC, floor);
        if (*keep[i] < 0) {
            return -errno;
        }
    }
    int r = null_streams(keep_stderr);
    for (unsigned i = 0; i <= descriptors->count && r == 0; i++) {
        r = move_to(high[i], SUPERVISOR_PLAN_FD + (int)i, 0);
    }
    for (unsigned i = 0; i < n_keep && r == 0; i++) {
        r = move_to(*keep[i], last + (int)i, O_CLOEXEC);
        *keep[i] = last + (int)i;
    }
    if (r == 0 && close_range((unsigned)floor, ~0u, 0) < 0) {
        r = -errno;
    }
    return r;
}
