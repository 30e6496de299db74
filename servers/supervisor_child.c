/*
 * fork(2) and execve(2); between them nothing that allocates. The descriptors are first moved above
 * all targets, so that no order of theirs can make one overwrite another.
 */
#include "supervisor_child.h"

#include "supervisor_words.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHILD_FIRST      3 /* SD_LISTEN_FDS_START */
#define CHILD_ABOVE      16
#define CHILD_FILES      1024
#define CHILD_ENV_MAX    (WORDS_VALUE_MAX + 4)
#define CHILD_CANNOT     127
#define CHILD_CREDENTIAL 126

/* Where a kind of start finds its descriptors, and what in its environment tells it so. */
struct variables {
    char text[2][32];
};
typedef void tell(const struct child *child, struct variables *ret);
static tell tell_listen, tell_reader;

static const struct place {
    bool standard; /* standard input and output; otherwise from CHILD_FIRST on */
    tell *tell;
} places[] = {
    [SUPERVISOR_CONNECTION] = {true, NULL},
    [SUPERVISOR_DATAGRAM] = {true, NULL},
    [SUPERVISOR_LISTEN] = {false, tell_listen},
    [SUPERVISOR_READER] = {false, tell_reader},
};

/* sd_listen_fds(3) */
static void tell_listen(const struct child *child, struct variables *ret)
{
    snprintf(ret->text[0], sizeof ret->text[0], "LISTEN_FDS=%u", child->n_fds);
    snprintf(ret->text[1], sizeof ret->text[1], "LISTEN_PID=%d", (int)getpid());
}

/* for cdss-fusermount */
static void tell_reader(const struct child *child, struct variables *ret)
{
    (void)child;
    snprintf(ret->text[0], sizeof ret->text[0], "CDSS_FUSE_FD=%d", CHILD_FIRST);
}

static int reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &standard, NULL); /* EINVAL for the few that cannot be changed */
    }
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int drop_ids(const struct child *child)
{
    if (setgroups(0, NULL) < 0 || setresgid(child->gid, child->gid, child->gid) < 0) {
        return -1;
    }
    return child->uid == 0 ? 0 : setresuid(child->uid, child->uid, child->uid);
}

static int limit_resources(void)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit files;
    if (setrlimit(RLIMIT_CORE, &no_core) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0) {
        return -1;
    }
    if (files.rlim_cur > CHILD_FILES) {
        files.rlim_cur = CHILD_FILES;
    }
    return setrlimit(RLIMIT_NOFILE, &files);
}

/* The copy stays open over execve(2). */
static int put(int fd, int target)
{
    return dup2(fd, target) < 0 ? -1 : 0;
}

static int place_standard(const struct child *child, const int *moved, int nothing, int output)
{
    bool standard = places[child->start].standard && child->n_fds > 0;
    if (put(standard ? moved[0] : nothing, STDIN_FILENO) < 0) {
        return -1;
    }
    if (output >= 0) {
        return put(output, STDOUT_FILENO) < 0 ? -1 : put(output, STDERR_FILENO);
    }
    return put(standard ? moved[0] : nothing, STDOUT_FILENO);
}

/* The first descriptor that is to be closed, or -1. */
static int place_descriptors(const struct child *child)
{
    int moved[SUPERVISOR_SOCKETS_MAX], output = -1;
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    nothing = nothing < 0 ? -1 : fcntl(nothing, F_DUPFD_CLOEXEC, CHILD_ABOVE);
    if (nothing < 0) {
        return -1;
    }
    if (child->output >= 0 && (output = fcntl(child->output, F_DUPFD_CLOEXEC, CHILD_ABOVE)) < 0) {
        return -1;
    }
    for (uint32_t i = 0; i < child->n_fds; i++) {
        moved[i] = fcntl(child->fds[i], F_DUPFD_CLOEXEC, CHILD_ABOVE);
        if (moved[i] < 0) {
            return -1;
        }
    }
    if (place_standard(child, moved, nothing, output) < 0) {
        return -1;
    }
    if (places[child->start].standard) {
        return CHILD_FIRST;
    }
    for (uint32_t i = 0; i < child->n_fds; i++) {
        if (put(moved[i], CHILD_FIRST + (int)i) < 0) {
            return -1;
        }
    }
    return CHILD_FIRST + (int)child->n_fds;
}

static _Noreturn void give_up(const struct child *child, const char *step, int status)
{
    dprintf(STDERR_FILENO, "%s: %s: %s\n", words_program(child->words), step, strerror(errno));
    _exit(status);
}

static _Noreturn void execute(const struct child *child)
{
    const char *argv[WORDS_MAX + 1], *more[WORDS_VALUE_MAX + 1];
    const char *env[CHILD_ENV_MAX + 1] = {"PATH=/usr/sbin:/usr/bin", "HOME=/"};
    struct variables variables = {0};
    size_t n = 2;
    if (words_vectors(child->words, argv, more) < 0) {
        _exit(CHILD_CANNOT);
    }
    if (places[child->start].tell != NULL) {
        places[child->start].tell(child, &variables);
    }
    for (size_t i = 0; i < 2 && variables.text[i][0] != '\0'; i++) {
        env[n++] = variables.text[i];
    }
    for (size_t i = 0; more[i] != NULL; i++) {
        env[n++] = more[i];
    }
    execve(argv[0], (char *const *)argv, (char *const *)env);
    give_up(child, "it could not be executed", CHILD_CANNOT);
}

static _Noreturn void become(const struct child *child)
{
    setsid(); /* cannot fail: a forked process leads no group */
    int first = place_descriptors(child);
    if (first < 0 || close_range((unsigned)first, ~0U, 0) < 0) {
        give_up(child, "its descriptors could not be placed", CHILD_CREDENTIAL);
    }
    if (limit_resources() < 0 || chdir("/") < 0 || drop_ids(child) < 0) {
        give_up(child, "its user could not be taken", CHILD_CREDENTIAL);
    }
    if (reset_signals() < 0) {
        give_up(child, "its signals could not be reset", CHILD_CREDENTIAL);
    }
    execute(child);
}

pid_t child_start(const struct child *child)
{
    pid_t pid = fork();
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        become(child);
    }
    return pid;
}
