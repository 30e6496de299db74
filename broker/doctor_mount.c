/* Reading images: loop(4), proc(5) "filesystems", depmod(8)'s lists of modules, fuse(4). */
#include "cleanup.h"
#include "doctor_checks.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned count_used_loops(const struct doctor *doctor)
{
    unsigned used = 0;
    int fd = openat(doctor->root_fd, "sys/block", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_DIR DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        char path[sizeof entry->d_name + 40];
        snprintf(path, sizeof path, "/sys/block/%s/loop/backing_file", entry->d_name);
        used += strncmp(entry->d_name, "loop", 4) == 0 && doctor_exists(doctor, path);
    }
    return used;
}

enum doctor_result doctor_check_loop(const struct doctor *doctor, struct text *says)
{
    if (!doctor_exists(doctor, "/dev/loop-control")) {
        return doctor_say(says, DOCTOR_WARN,
                          "there is no /dev/loop-control, so that no image is mounted by the "
                          "kernel; 'modprobe loop', or allow the device to this container");
    }
    return doctor_say(says, DOCTOR_OK,
                      "loop devices are made as they are needed (%u in use), one for an image",
                      count_used_loops(doctor));
}

/* A line of /proc/filesystems: "nodev\tfuse" or "\text4". */
static bool is_filesystem(char *line, void *user_data)
{
    const char *tab = strrchr(line, '\t');
    return tab != NULL && strcmp(tab + 1, user_data) == 0;
}

/* Where the kernel's name, or its module's, is another than ours. */
static const struct {
    const char *ours, *kernel, *module;
} other_names[] = {{"iso9660", "iso9660", "isofs"}, {"ext", "ext4", "ext4"}};

static void kernel_names(const char *ours, const char **ret_kernel, const char **ret_module)
{
    *ret_kernel = *ret_module = ours;
    for (size_t i = 0; i < ARRAY_SIZE(other_names); i++) {
        if (strcmp(other_names[i].ours, ours) == 0) {
            *ret_kernel = other_names[i].kernel;
            *ret_module = other_names[i].module;
        }
    }
}

static bool is_built_in(const struct doctor *doctor, const char *filesystem)
{
    CLEANUP_FREE char *list = doctor_read(doctor, "/proc/filesystems");
    return list != NULL && doctor_each_line(list, is_filesystem, (void *)filesystem);
}

/* A module that the kernel loads when something of that type is mounted. */
static bool is_module(const struct doctor *doctor, const char *module)
{
    static const char *const lists[] = {"modules.dep", "modules.builtin"};
    CLEANUP_FREE char *release = doctor_read(doctor, "/proc/sys/kernel/osrelease");
    char name[64], path[512];
    snprintf(name, sizeof name, "/%s.ko", module);
    for (size_t i = 0; release != NULL && i < ARRAY_SIZE(lists); i++) {
        release[strcspn(release, "\n")] = '\0';
        snprintf(path, sizeof path, "/lib/modules/%s/%s", release, lists[i]);
        CLEANUP_FREE char *modules = doctor_read(doctor, path);
        if (modules != NULL && strstr(modules, name) != NULL) {
            return true;
        }
    }
    return false;
}

static bool kernel_reads(const struct doctor *doctor, const char *ours)
{
    const char *kernel, *module;
    kernel_names(ours, &kernel, &module);
    return settings_has_word(&doctor->settings->readers, "kernel") &&
           (is_built_in(doctor, kernel) || is_module(doctor, module));
}

static bool has_fuseiso(const struct doctor *doctor)
{
    return settings_has_word(&doctor->settings->readers, "fuseiso") &&
           doctor_exists(doctor, "/dev/fuse") &&
           doctor_executable(doctor, doctor->settings->root, "/usr/bin/fuseiso");
}

enum doctor_result doctor_check_filesystems(const struct doctor *doctor, struct text *says)
{
    const struct settings_words *wanted = &doctor->settings->filesystems;
    CLEANUP_TEXT struct text kernel = {0}, missing = {0};
    unsigned n_kernel = 0, n_missing = 0;
    bool by_fuse = false;
    for (uint32_t i = 0; i < wanted->count; i++) {
        const char *name = wanted->items[i];
        if (kernel_reads(doctor, name)) {
            doctor_add_piece(&kernel, &n_kernel, name);
        } else if (strcmp(name, "iso9660") == 0 && has_fuseiso(doctor)) {
            by_fuse = true;
        } else {
            doctor_add_piece(&missing, &n_missing, name);
        }
    }
    text_format(says, "the kernel reads %s", n_kernel > 0 ? kernel.data : "no image");
    if (by_fuse) {
        text_add(says, "; ISO 9660 is read by fuseiso, which shows a file above 4 GiB wrongly");
    }
    if (n_missing > 0) {
        text_format(says,
                    "; no reader for %s: such images are shared as files only (install a "
                    "distribution's kernel, or fuseiso for ISO 9660)",
                    missing.data);
    }
    return n_missing > 0 ? DOCTOR_WARN : by_fuse ? DOCTOR_NOTE : DOCTOR_OK;
}

enum doctor_result doctor_check_idmap(const struct doctor *doctor, struct text *says)
{
    unsigned version = doctor_kernel_version(doctor);
    bool squashfs = version >= 6002, erofs = version >= 5019;
    if (squashfs && erofs) {
        return doctor_say(says, DOCTOR_OK,
                          "files inside of squashfs and erofs images are readable whatever their "
                          "mode (ISO 9660 and UDF by mount options)");
    }
    return doctor_say(
        says, DOCTOR_NOTE,
        "files inside of %s images that are not readable by everybody stay unreadable: "
        "id-mapped mounts of them came with Linux %s",
        erofs ? "squashfs" : "squashfs and erofs", erofs ? "6.2" : "6.2 and 5.19");
}
