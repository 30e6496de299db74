/*
 * The share's control group, the sockets of its instances, which are made in it, and the fence that
 * is put around it then (fence.h).
 */
#include "cleanup.h"
#include "fence.h"
#include "prepare_job.h"
#include "share_steps.h"
#include "stopping_point.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARE_MEMORY    (512ull * 1024 * 1024) /* page cache of files counts, and gives way */
#define SHARE_PROCESSES 256

/* What the process that makes the sockets says, in memory that it shares with the worker. */
struct made {
    int32_t error;
    uint32_t protocol; /* which one failed */
    struct ports_bound ports[PREPARE_PROTOCOLS_MAX];
};

static int make_group(struct job *job)
{
    const struct cgroup_limits limits = {.memory = SHARE_MEMORY, .processes = SHARE_PROCESSES};
    int r = cgroup_create(job->broker->cgroups, job->share->row.id, &limits, &job->group_fd);

    return r < 0 ? job_fail(job, r, "", "The share's control group could not be made: %s.",
                            strerror(-r))
                 : 0;
}

static const struct definition *definition_of(const struct job *job, uint32_t protocol)
{
    return definitions_find(job->broker->definitions,
                            job->share->row.protocols[protocol].name.text);
}

static void bind_all(const struct job *job, struct made *made)
{
    const struct settings *settings = &job->broker->settings;
    const struct registry_share *row = &job->share->row;

    for (uint32_t i = 0; i < row->n_protocols && made->error == 0; i++) {
        const struct definition *definition = definition_of(job, i);
        struct ports_request request = {.first = settings->ports.first,
                                        .last = settings->ports.last,
                                        .uid = row->uid_first + 2,
                                        .mark = row->mark};
        for (uint32_t j = 0; j < definition->n_ports; j++) {
            request.tcp |= definition->ports[j].transport == IPPROTO_TCP;
            request.udp |= definition->ports[j].transport == IPPROTO_UDP;
        }
        made->protocol = i;
        made->error = ports_bind(&request, &made->ports[i]);
    }
}

/* A socket belongs to the group of the process that makes it, for good. So that is done by a child
 * in the share's group, with which the worker shares its descriptors. */
static int bind_in_group(const struct job *job, struct made *made)
{
    struct clone_args arguments = {.flags = CLONE_FILES | CLONE_INTO_CGROUP,
                                   .exit_signal = SIGCHLD,
                                   .cgroup = (uint64_t)job->group_fd};
    int status;

    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        bind_all(job, made);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

static int judge(struct job *job, const struct made *made)
{
    const struct settings *settings = &job->broker->settings;
    const char *name = job->share->row.protocols[made->protocol].name.text;

    if (made->error == -EADDRINUSE) {
        return job_fail(job, made->error, "",
                        "No port of [network] ports=%u-%u is free for %s; nothing was shared.",
                        settings->ports.first, settings->ports.last, name);
    }
    if (made->error < 0) {
        return job_fail(job, made->error, "",
                        "No port could be bound for %s: %s; nothing was shared.", name,
                        strerror(-made->error));
    }
    return 0;
}

int job_bind_ports(struct job *job)
{
    int r = make_group(job);
    if (r < 0) {
        return r;
    }
    STOPPING_POINT("create.group_made");
    struct made *made =
        mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) {
        return -errno;
    }
    if (job->group_fd >= 0) {
        r = bind_in_group(job, made);
    } else {
        bind_all(job, made);
    }
    STOPPING_POINT("create.port_bound");
    if (r == 0) {
        memcpy(job->ports, made->ports, sizeof job->ports);
        r = judge(job, made);
    }
    munmap(made, sizeof *made);
    return r;
}

/* Two for each process that a server may have: one that listens, and one that connects or is still
 * open from the transfer before. */
static uint32_t count_sockets(const struct job *job)
{
    uint32_t sockets = 0;

    for (uint32_t i = 0; i < job->share->row.n_protocols; i++) {
        const struct definition *definition = definition_of(job, i);
        sockets += definition->network_host ? 2 * definition->max_processes : 0;
    }
    return sockets;
}

int job_fence(struct job *job)
{
    const struct settings *settings = &job->broker->settings;
    const struct fence fence = {.mark = job->share->row.mark,
                                .passive_first = settings->passive.first,
                                .passive_last = settings->passive.last,
                                .sockets = count_sockets(job)};

    if (!job->broker->can_fence || job->group_fd < 0) {
        return 0; /* the log and the doctor say so */
    }
    int r = fence_attach(job->group_fd, &fence);
    return r < 0 ? job_fail(job, r, "",
                            "The share's sockets could not be fenced in: %s; nothing was shared.",
                            strerror(-r))
                 : 0;
}
