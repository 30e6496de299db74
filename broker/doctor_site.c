/* What belongs to this site: ids, directories, server programs, the broker. */
#include "cleanup.h"
#include "doctor_checks.h"
#include "supervisor_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The uids that shares may have and the one behind them (settings_verify_uid()), and the first
 * foreign entry among them. */
struct uid_search {
    uint64_t first, last;
    bool is_range; /* subuid: NAME:FIRST:COUNT; passwd: NAME:x:UID:... */
    char name[64];
};

static bool visit_uid(char *line, void *user_data)
{
    struct uid_search *search = user_data;
    unsigned long long first, count = 1;
    char name[64];
    bool read = search->is_range ? sscanf(line, "%63[^:]:%llu:%llu", name, &first, &count) == 3
                                 : sscanf(line, "%63[^:]:%*[^:]:%llu", name, &first) == 2;
    if (!read || count == 0 || first > search->last || first + count - 1 < search->first) {
        return false;
    }
    text_copy(search->name, sizeof search->name, name);
    return true;
}

static bool find_uid(const struct doctor *doctor, const char *path, struct uid_search *search)
{
    CLEANUP_FREE char *file = doctor_read(doctor, path);
    return file != NULL && doctor_each_line(file, visit_uid, search);
}

/* Ranges of systemd, for containers and dynamic users (its UIDS-GIDS document). */
#define SYSTEMD_FIRST 524288u
#define SYSTEMD_LAST  1879048191u

enum doctor_result doctor_check_uids(const struct doctor *doctor, struct text *says)
{
    const struct settings *settings = doctor->settings;
    uint64_t blocks = settings_uid_blocks(settings);
    struct uid_search search = {.first = settings->uid_first,
                                .last = settings->uid_first + blocks * settings->uid_per_share};
    unsigned long long first = search.first, last = search.last;
    if (last >= UINT32_MAX) {
        return doctor_say(says, DOCTOR_FAIL, "uids up to %llu do not exist; lower [uids] first",
                          last);
    }
    static const char *const files[] = {"/etc/passwd", "/etc/subuid", "/etc/subgid"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        search.is_range = i > 0;
        if (find_uid(doctor, files[i], &search)) {
            return doctor_say(says, DOCTOR_FAIL,
                              "uids %llu-%llu are for shares, and %s gives some to \"%s\"; choose "
                              "another [uids] first",
                              first, last, files[i], search.name);
        }
    }
    if (first <= SYSTEMD_LAST && last >= SYSTEMD_FIRST) {
        return doctor_say(says, DOCTOR_WARN,
                          "uids %llu-%llu are among those that systemd gives to containers; choose "
                          "[uids] first=2100000000",
                          first, last);
    }
    return doctor_say(says, DOCTOR_OK, "nobody else has the uids %llu-%llu", first, last);
}

static int status_of(const struct doctor *doctor, const char *path, struct stat *ret)
{
    path += strspn(path, "/");
    return fstatat(doctor->root_fd, path, ret, 0) == 0 ? 0 : -errno;
}

enum doctor_result doctor_check_repository(const struct doctor *doctor, struct text *says)
{
    const char *path = doctor->settings->images;
    struct stat status;
    int error = status_of(doctor, path, &status);
    if (error < 0) {
        return doctor_say(says, DOCTOR_FAIL,
                          "the repository %s is not there (%s); make it and put "
                          "images into it, or set [repository] images",
                          path, strerror(-error));
    }
    if (!S_ISDIR(status.st_mode)) {
        return doctor_say(says, DOCTOR_FAIL, "the repository %s is no directory", path);
    }
    if ((status.st_mode & S_IWOTH) != 0) {
        return doctor_say(says, DOCTOR_WARN,
                          "everybody may write into the repository %s; 'chmod o-w' it", path);
    }
    return doctor_say(says, DOCTOR_OK,
                      "%s is there; replace an image with mv, never by writing "
                      "into it, since shares read the file itself",
                      path);
}

enum doctor_result doctor_check_shares(const struct doctor *doctor, struct text *says)
{
    const struct settings *settings = doctor->settings;
    struct stat images, shares;
    int error = status_of(doctor, settings->shares, &shares);
    if (error == -EACCES) {
        return doctor_say(says, DOCTOR_NOTE, "only root can look at %s; run 'sudo cdss doctor'",
                          settings->shares);
    }
    if (error < 0) {
        return doctor_say(says, DOCTOR_NOTE,
                          "%s is not there yet; the broker makes it at its start",
                          settings->shares);
    }
    if (status_of(doctor, settings->images, &images) == 0 && images.st_dev != shares.st_dev) {
        return doctor_say(
            says, DOCTOR_FAIL,
            "%s and %s are on two filesystems, between which there are no hard links; "
            "set [repository] shares to a directory beside the images",
            settings->images, settings->shares);
    }
    if (shares.st_uid != 0 || (shares.st_mode & 07777) != 0700) {
        return doctor_say(says, DOCTOR_FAIL,
                          "%s must belong to root with mode 0700, and has mode %04o and uid %u; "
                          "'chown root' and 'chmod 0700' it",
                          settings->shares, (unsigned)(shares.st_mode & 07777),
                          (unsigned)shares.st_uid);
    }
    return doctor_say(says, DOCTOR_OK, "%s is root's alone and on the repository's filesystem",
                      settings->shares);
}

static const char *package_of(const char *program)
{
    static const char *const packages[][2] = {
        {"lighttpd", "lighttpd"}, {"vsftpd", "vsftpd"}, {"atftpd", "atftpd"}};
    const char *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;
    for (size_t i = 0; i < ARRAY_SIZE(packages); i++) {
        if (strcmp(packages[i][0], name) == 0) {
            return packages[i][1];
        }
    }
    return NULL;
}

/* Adds "FTP (/usr/sbin/vsftpd: install the package vsftpd)" when its program is not there. */
static void add_missing_server(const struct doctor *doctor, const struct definition *definition,
                               struct text *list, unsigned *count)
{
    struct supervisor_words words;
    const char *program =
        words_split(definition->program, &words) == 0 ? words_program(&words) : NULL;
    if (program == NULL || program[0] != '/' ||
        doctor_executable(doctor, doctor->settings->root, program)) {
        return;
    }
    const char *package = package_of(program);
    char piece[400];
    snprintf(piece, sizeof piece, "%s (%s: %s%s)", definition->title, program,
             package != NULL ? "install the package " : "install it", package ? package : "");
    doctor_add_piece(list, count, piece);
}

enum doctor_result doctor_check_servers(const struct doctor *doctor, struct text *says)
{
    const struct definitions *definitions = doctor->definitions;
    CLEANUP_TEXT struct text missing = {0};
    unsigned count = 0;
    if (definitions == NULL) {
        return doctor_say(says, DOCTOR_FAIL, "the protocols' definitions cannot be read: %s",
                          doctor->definitions_error != NULL ? doctor->definitions_error : "");
    }
    for (uint32_t i = 0; i < definitions->count; i++) {
        add_missing_server(doctor, &definitions->items[i], &missing, &count);
    }
    if (definitions->count == 0 || count == definitions->count) {
        return doctor_say(says, DOCTOR_FAIL, "there is no server for any protocol: %s",
                          missing.data != NULL ? missing.data : "no definition was found");
    }
    if (count > 0) {
        return doctor_say(says, DOCTOR_WARN, "there is no server for %s", missing.data);
    }
    return doctor_say(says, DOCTOR_OK, "the server programs of all %u protocols are there",
                      definitions->count);
}

static enum doctor_result say_unreachable(const struct doctor *doctor, struct text *says)
{
    int error = doctor->broker_error;
    if (error == -ENOENT || error == -ECONNREFUSED) {
        return doctor_say(says, DOCTOR_NOTE,
                          "the broker is not running; 'systemctl start cdssd', or run 'cdssd' as "
                          "root");
    }
    if (error == -EACCES || error == -EPERM) {
        return doctor_say(says, DOCTOR_NOTE,
                          "you may not talk to the broker; be root or a member of the group %s",
                          doctor->settings->admin_group);
    }
    return doctor_say(says, DOCTOR_WARN, "the broker does not answer on %s: %s",
                      doctor->settings->socket, strerror(-error));
}

enum doctor_result doctor_check_broker(const struct doctor *doctor, struct text *says)
{
    const struct message_status *status = doctor->broker;
    if (doctor->broker_error < 0) {
        return say_unreachable(doctor, says);
    }
    if (status == NULL) {
        return doctor_say(says, DOCTOR_NOTE, "the broker runs, and does not tell you more");
    }
    bool healthy = strcmp(status->firewall, "ok") == 0 && strcmp(status->registry, "ok") == 0;
    return doctor_say(says, healthy ? DOCTOR_OK : DOCTOR_WARN,
                      "the broker %s serves %u shares; firewall: %s; registry: %s", status->version,
                      status->active, status->firewall, status->registry);
}
