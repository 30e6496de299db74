/* The kernel and what we may do in it: proc(5), capabilities(7), cgroups(7), namespaces(7). */
#include "cleanup.h"
#include "doctor_checks.h"
#include "fence.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

enum doctor_result doctor_check_root(const struct doctor *doctor, struct text *says)
{
    return doctor->privileged
               ? doctor_say(says, DOCTOR_OK, "everything can be looked at")
               : doctor_say(says, DOCTOR_NOTE,
                            "some things only root may see; run 'sudo cdss doctor' for all of it");
}

/* clone3 into a cgroup 5.7, close_range 5.9, mount_setattr and id-mapped mounts 5.12 */
#define KERNEL_LEAST  5012u
#define KERNEL_TESTED 6001u

enum doctor_result doctor_check_kernel(const struct doctor *doctor, struct text *says)
{
    unsigned version = doctor_kernel_version(doctor);
    unsigned major = version / 1000, minor = version % 1000;
    if (version == 0) {
        return doctor_say(says, DOCTOR_WARN,
                          "the kernel's version cannot be read; is /proc mounted?");
    }
    if (version < KERNEL_LEAST) {
        return doctor_say(says, DOCTOR_FAIL,
                          "Linux %u.%u has no id-mapped mounts; install Linux 6.1 or newer", major,
                          minor);
    }
    if (version < KERNEL_TESTED) {
        return doctor_say(says, DOCTOR_WARN,
                          "Linux %u.%u is older than the tested ones; prefer 6.1 or newer", major,
                          minor);
    }
    return doctor_say(says, DOCTOR_OK, "Linux %u.%u has what sandboxes need", major, minor);
}

struct capability {
    unsigned number;
    const char *name;
    bool vital;
};

/* From a line "CapBnd:\t000001ffffffffff"; all bits when there is none. */
static unsigned long long bounding_set(const char *status)
{
    const char *line = strstr(status, "CapBnd:");
    return line != NULL ? strtoull(line + strlen("CapBnd:"), NULL, 16) : ~0ULL;
}

enum doctor_result doctor_check_capabilities(const struct doctor *doctor, struct text *says)
{
    static const struct capability wanted[] = {
        {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", true},   {CAP_NET_ADMIN, "CAP_NET_ADMIN", true},
        {CAP_MKNOD, "CAP_MKNOD", true},           {CAP_SETUID, "CAP_SETUID", true},
        {CAP_SETGID, "CAP_SETGID", true},         {CAP_CHOWN, "CAP_CHOWN", true},
        {CAP_SYS_CHROOT, "CAP_SYS_CHROOT", true}, {CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", false},
    };
    CLEANUP_FREE char *status = doctor_read(doctor, "/proc/self/status");
    CLEANUP_TEXT struct text lost = {0};
    unsigned count = 0;
    bool vital = false;
    unsigned long long set = status != NULL ? bounding_set(status) : ~0ULL;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        if ((set & (1ULL << wanted[i].number)) == 0) {
            doctor_add_piece(&lost, &count, wanted[i].name);
            vital = vital || wanted[i].vital;
        }
    }
    if (vital) {
        return doctor_say(says, DOCTOR_FAIL,
                          "root here lacks %s; run the broker outside of this container, or give "
                          "the container these",
                          lost.data);
    }
    if (count > 0) {
        return doctor_say(
            says, DOCTOR_WARN,
            "root here lacks %s: limits cannot be raised, so that many shares at once "
            "may run out of open files",
            lost.data);
    }
    return doctor_say(says, DOCTOR_OK, "root here has every capability that the broker keeps");
}

enum doctor_result doctor_check_user_namespaces(const struct doctor *doctor, struct text *says)
{
    long long most = doctor_read_number(doctor, "/proc/sys/user/max_user_namespaces", -1);
    if (most < 0) {
        return doctor_say(says, DOCTOR_FAIL,
                          "this kernel has no user namespaces (CONFIG_USER_NS), and no sandbox can "
                          "be made; install a distribution's kernel");
    }
    if (most == 0) {
        return doctor_say(says, DOCTOR_FAIL,
                          "user namespaces are switched off; set user.max_user_namespaces in "
                          "/etc/sysctl.d to some thousands");
    }
    if (most < 2LL * doctor->settings->max_shares) {
        return doctor_say(says, DOCTOR_WARN,
                          "only %lld user namespaces are allowed, and %u shares need up to two "
                          "each; raise user.max_user_namespaces",
                          most, doctor->settings->max_shares);
    }
    return doctor_say(says, DOCTOR_OK, "up to %lld user namespaces are allowed", most);
}

/* Which controllers can be used, and through which hierarchy. */
struct controllers {
    bool memory, pids;
    bool memory_v1, pids_v1;
    const struct doctor *doctor;
};

/* A line of mountinfo: "... MOUNTPOINT ... - cgroup2 SOURCE OPTIONS" (proc(5)). */
static bool visit_mount(char *line, void *user_data)
{
    struct controllers *found = user_data;
    char mount_point[512], path[600];
    const char *kind = strstr(line, " - cgroup");
    if (kind == NULL || sscanf(line, "%*s %*s %*s %*s %511s", mount_point) != 1) {
        return false;
    }
    if (strncmp(kind, " - cgroup2 ", 11) != 0) {
        const char *options = strrchr(line, ' ');
        found->memory_v1 = found->memory_v1 || doctor_has_word(options, "memory");
        found->pids_v1 = found->pids_v1 || doctor_has_word(options, "pids");
        return false;
    }
    snprintf(path, sizeof path, "%s/cgroup.controllers", mount_point);
    CLEANUP_FREE char *list = doctor_read(found->doctor, path);
    found->memory = found->memory || (list != NULL && doctor_has_word(list, "memory"));
    found->pids = found->pids || (list != NULL && doctor_has_word(list, "pids"));
    return false;
}

enum doctor_result doctor_check_cgroups(const struct doctor *doctor, struct text *says)
{
    struct controllers found = {.doctor = doctor};
    CLEANUP_FREE char *mounts = doctor_read(doctor, "/proc/self/mountinfo");
    if (mounts != NULL) {
        doctor_each_line(mounts, visit_mount, &found);
    }
    bool memory = found.memory || found.memory_v1, pids = found.pids || found.pids_v1;
    if (!memory && !pids) {
        return doctor_say(says, DOCTOR_WARN,
                          "there are no control groups for memory and processes, so that only "
                          "rlimits bound a share; mount cgroup2 on /sys/fs/cgroup");
    }
    if (!memory || !pids) {
        return doctor_say(says, DOCTOR_WARN,
                          "there is no control group for %s, which then only rlimits bound; switch "
                          "that controller on",
                          memory ? "processes" : "memory");
    }
    bool unified = found.memory && found.pids;
    return doctor_say(says, unified ? DOCTOR_OK : DOCTOR_NOTE,
                      "shares are bounded in memory and processes by cgroup %s",
                      unified ? "v2" : "v1 hierarchies; v2 would be one hierarchy for all");
}

static bool is_unified(char *line, void *user_data)
{
    (void)user_data;
    return strstr(line, " - cgroup2 ") != NULL;
}

enum doctor_result doctor_check_fence(const struct doctor *doctor, struct text *says)
{
    CLEANUP_FREE char *mounts = doctor_read(doctor, "/proc/self/mountinfo");
    if (mounts == NULL || !doctor_each_line(mounts, is_unified, NULL)) {
        return doctor_say(says, DOCTOR_WARN,
                          "no cgroup2 is mounted: a server that has been taken over could take "
                          "ports of others; mount cgroup2 on /sys/fs/cgroup");
    }
    if (!doctor->live || !doctor->privileged) {
        return doctor_say(says, DOCTOR_NOTE,
                          "whether the kernel can hold the sockets of a share to its own flows is "
                          "for root to see");
    }
    int r = fence_probe();
    if (r < 0) {
        return doctor_say(says, DOCTOR_WARN,
                          "this kernel lets us load no programs for control groups (%s): a server "
                          "that has been taken over could take ports of others; use a kernel with "
                          "CONFIG_CGROUP_BPF, and no container",
                          strerror(-r));
    }
    return doctor_say(says, DOCTOR_OK,
                      "the kernel holds the sockets of each share to its own flows and ports");
}
