/* The last line that a check writes is its reason: servers print the cause before they give up. */
#include "supervisor_ready.h"

#include "cleanup.h"
#include "supervisor_child.h"
#include "supervisor_words.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CHECK_TIME (10 * SECOND_NS)
#define PIECES     128 /* of a pipe's usual 64 KiB; a check that never pauses must not hold us up */

__attribute__((format(printf, 3, 4))) static void fail(struct ready *ready, uint32_t index,
                                                       const char *format, ...)
{
    va_list arguments;
    if (ready->answer.failed) {
        return; /* the first reason counts */
    }
    ready->answer.failed = 1;
    memcpy(ready->answer.service, ready->plan->services[index].name, sizeof ready->answer.service);
    va_start(arguments, format);
    vsnprintf(ready->answer.reason, sizeof ready->answer.reason, format, arguments);
    va_end(arguments);
}

static int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -errno : value;
}

static void look_at_sockets(struct ready *ready, uint32_t index)
{
    const struct supervisor_service *service = &ready->plan->services[index];
    for (uint32_t i = 0; i < service->n_sockets; i++) {
        int type = socket_option(service->sockets[i], SO_TYPE);
        if (type != (service->is_stream[i] ? SOCK_STREAM : SOCK_DGRAM)) {
            fail(ready, index, "socket %u is not what it should be", i);
        } else if (type == SOCK_STREAM && socket_option(service->sockets[i], SO_ACCEPTCONN) != 1) {
            fail(ready, index, "socket %u does not listen", i);
        }
    }
}

static void look_at_fuse(struct ready *ready, uint32_t index)
{
    struct stat status;
    if (fstat(ready->plan->services[index].sockets[0], &status) < 0 || !S_ISCHR(status.st_mode)) {
        fail(ready, index, "its descriptor is not /dev/fuse");
    }
}

static void look_at_program(struct ready *ready, uint32_t index)
{
    const char *program = words_program(&ready->plan->services[index].program);
    struct stat status;
    CLEANUP_CLOSE int fd = open(program, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        fail(ready, index, "%s: %s", program, strerror(errno));
    } else if (!S_ISREG(status.st_mode) || (status.st_mode & 0111) == 0) {
        fail(ready, index, "%s is not executable", program);
    }
}

static int start_check(struct ready *ready, uint32_t index)
{
    const struct supervisor_service *service = &ready->plan->services[index];
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC) < 0) {
        return -errno;
    }
    CLEANUP_CLOSE int from = pipe[0], to = pipe[1];
    struct child child = {.words = &service->check,
                          .uid = service->uid,
                          .gid = service->gid,
                          .start = SUPERVISOR_CONNECTION,
                          .output = to};
    /* only our end: the check may write as much as it likes, and waits while we are busy */
    if (fcntl(from, F_SETFL, O_NONBLOCK) < 0) {
        return -errno;
    }
    pid_t pid = child_start(&child);
    if (pid < 0) {
        return pid;
    }
    ready->checks[index] = (struct ready_check){.pid = pid, .pipe = TAKE_FD(from)};
    ready->running++;
    return 0;
}

void ready_begin(struct ready *ready, const struct supervisor_plan *plan)
{
    ready->plan = plan;
    ready->until = events_now() + CHECK_TIME;
    for (uint32_t i = 0; i < plan->n_services; i++) {
        const struct supervisor_service *service = &plan->services[i];
        ready->checks[i].pipe = -1;
        if (service->start == SUPERVISOR_READER) {
            look_at_fuse(ready, i);
        } else {
            look_at_sockets(ready, i);
        }
        look_at_program(ready, i);
        int r = service->check.bytes[0] == '\0' ? 0 : start_check(ready, i);
        if (r < 0) {
            fail(ready, i, "its check could not be started: %s", strerror(-r));
        }
    }
}

/* Keeps the end of what was said. */
static void keep(struct ready_check *check, const char *bytes, size_t length)
{
    if (check->length + length > sizeof check->said) {
        size_t drop = check->length + length - sizeof check->said;
        memmove(check->said, check->said + drop, check->length - drop);
        check->length -= drop;
    }
    memcpy(check->said + check->length, bytes, length);
    check->length += length;
}

static void check_spoke(void *waiter, uint32_t number)
{
    struct ready_check *check = &((struct ready *)waiter)->checks[number];
    char bytes[512];
    ssize_t n = 1;
    for (int i = 0; i < PIECES && (n = read(check->pipe, bytes, sizeof bytes)) > 0; i++) {
        keep(check, bytes, (size_t)n);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(check->pipe);
        check->pipe = -1;
    }
}

static bool is_end_of_line(char byte)
{
    return byte == '\n' || byte == '\r' || byte == ' ';
}

/* The last line, printable. */
static void last_line(const struct ready_check *check, char *line, size_t size)
{
    size_t end = check->length;
    while (end > 0 && is_end_of_line(check->said[end - 1])) {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && check->said[begin - 1] != '\n' && end - begin < size - 1) {
        begin--;
    }
    for (size_t i = begin; i < end; i++) {
        char byte = check->said[i];
        *line++ = byte >= ' ' && byte <= '~' ? byte : '?';
    }
    *line = '\0';
}

static void check_failed(struct ready *ready, uint32_t index, int wait_status)
{
    char line[sizeof ready->answer.reason];
    last_line(&ready->checks[index], line, sizeof line);
    if (line[0] != '\0') {
        fail(ready, index, "%s", line);
    } else if (WIFSIGNALED(wait_status)) {
        fail(ready, index, "its check was ended by signal %d", WTERMSIG(wait_status));
    } else {
        fail(ready, index, "its check ended with status %d", WEXITSTATUS(wait_status));
    }
}

bool ready_ended(struct ready *ready, pid_t pid, int wait_status)
{
    for (uint32_t i = 0; !ready->over && i < ready->plan->n_services; i++) {
        struct ready_check *check = &ready->checks[i];
        if (check->pid != pid) {
            continue;
        }
        if (check->pipe >= 0) {
            check_spoke(ready, i);
        }
        if (wait_status != 0) {
            check_failed(ready, i, wait_status);
        }
        cleanup_close_fd(&check->pipe);
        *check = (struct ready_check){.pipe = -1};
        ready->running--;
        return true;
    }
    return false;
}

static void too_late(struct ready *ready)
{
    for (uint32_t i = 0; i < ready->plan->n_services; i++) {
        if (ready->checks[i].pid > 0) {
            fail(ready, i, "its check took longer than 10 seconds");
            kill(-ready->checks[i].pid, SIGKILL); /* each leads a session of its own */
        }
    }
}

void ready_watch(struct ready *ready, struct events *events)
{
    if (ready->over) {
        return;
    }
    if (ready->running > 0 && events_now() >= ready->until) {
        too_late(ready);
    } else if (ready->running > 0) {
        events_wake(events, ready->until);
    }
    for (uint32_t i = 0; i < ready->plan->n_services; i++) {
        events_add(events, ready->checks[i].pipe, check_spoke, ready, i);
    }
}

bool ready_answer(struct ready *ready)
{
    if (ready->over || (ready->running > 0 && !ready->answer.failed)) {
        return !ready->over || !ready->answer.failed;
    }
    ready->over = true;
    if (write(ready->plan->ready_fd, &ready->answer, sizeof ready->answer) < 0) {
        ready->answer.failed = 1; /* nobody waits for this share any more */
    }
    close(ready->plan->ready_fd);
    return !ready->answer.failed;
}
