/* The conversation: reads a request, runs its group, as whichever user it is told to be. */
#include "hostile.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 64
#define IDLE_MS   60000

static int out = 1;
static struct sockaddr_storage peer; /* of a datagram socket */
static socklen_t peer_size;
static const char *names[WORDS_MAX], *values[WORDS_MAX];

int connection(void)
{
    return out;
}

void say(const char *format, ...)
{
    char line[600];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    length = length > (int)sizeof line - 2 ? (int)sizeof line - 2 : length;
    line[length++] = '\n';
    sendto(out, line, (size_t)length, MSG_NOSIGNAL, peer_size > 0 ? (struct sockaddr *)&peer : NULL,
           peer_size);
}

void attempt(const char *name, long result)
{
    if (result < 0) {
        const char *error = strerrorname_np(errno);
        say("held %s: %s", name, error != NULL ? error : "?");
    } else {
        say("BROKE %s: %ld", name, result);
    }
}

void bounded(const char *name, long count, long limit)
{
    say("%s %s: %ld (of %ld)", count < limit ? "held" : "BROKE", name, count, limit);
}

const char *value(const char *name)
{
    for (int i = 0; i < WORDS_MAX && names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0) {
            return values[i];
        }
    }
    return "";
}

long value_number(const char *name)
{
    return strtol(value(name), NULL, 10);
}

void each_value(const char *name, void (*visit)(const char *part))
{
    char copy[8192], *rest = copy, *part;
    snprintf(copy, sizeof copy, "%s", value(name));
    while ((part = strsep(&rest, ",")) != NULL) {
        if (*part != '\0') {
            visit(part);
        }
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int in_child(int (*run)(void), unsigned seconds)
{
    double until = now() + seconds;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(run());
    }
    while (pid > 0) {
        pid_t gone = waitpid(pid, &status, WNOHANG);
        if (gone == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        if (gone < 0 || now() > until) {
            break;
        }
        usleep(2000);
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return -1;
}

static const struct {
    const char *name;
    group *run;
} groups[] = {{"kernel", group_kernel}, {"processes", group_processes},
              {"files", group_files},   {"sockets", group_sockets},
              {"ports", group_ports},   {"hear", group_hear},
              {"turn", group_turn},     {"turned", group_turned},
              {"bounds", group_bounds}, {"fill", group_fill},
              {"spin", group_spin},     {"kill", group_kill},
              {"hold", group_hold},     {"stop", group_stop}};

static void obey(char *line)
{
    char *word, *rest = line;
    const char *wanted = strsep(&rest, " \r\n");
    int count = 0;
    while ((word = strsep(&rest, " \r\n")) != NULL && count < WORDS_MAX - 1) {
        char *equals = strchr(word, '=');
        if (equals != NULL) {
            *equals = '\0';
            names[count] = word;
            values[count++] = equals + 1;
        }
    }
    long uid = value_number("as");
    if (uid > 0 && (setgid((gid_t)uid) < 0 || setuid((uid_t)uid) < 0)) {
        say("BROKE the test: it cannot become %ld", uid);
        return;
    }
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (strcmp(groups[i].name, wanted) == 0) {
            groups[i].run();
            say("end");
            return;
        }
    }
    say("BROKE the test: no group %s", wanted);
}

static void serve_connection(int fd)
{
    static char line[16384];
    size_t used = 0;
    out = fd;
    while (used < sizeof line - 1 && memchr(line, '\n', used) == NULL) {
        ssize_t length = read(fd, line + used, sizeof line - 1 - used);
        if (length <= 0) {
            return;
        }
        used += (size_t)length;
    }
    obey(line);
}

/* Each request in a child, which may become somebody else. */
static void serve_in_child(int fd)
{
    if (fork() == 0) {
        signal(SIGCHLD, SIG_DFL);
        serve_connection(fd);
        _exit(0);
    }
    close(fd);
}

static void listen_for_ever(void)
{
    long count = strtol(getenv("LISTEN_FDS") != NULL ? getenv("LISTEN_FDS") : "0", NULL, 10);
    struct pollfd sockets[8];
    signal(SIGCHLD, SIG_IGN);
    for (long i = 0; i < count && i < 8; i++) {
        sockets[i] = (struct pollfd){.fd = (int)(3 + i), .events = POLLIN};
    }
    while (poll(sockets, (nfds_t)count, IDLE_MS) > 0) {
        for (long i = 0; i < count; i++) {
            int fd = sockets[i].revents != 0 ? accept(sockets[i].fd, NULL, NULL) : -1;
            if (fd >= 0) {
                serve_in_child(fd);
            }
        }
    }
}

static void hear_datagrams(void)
{
    static char line[16384];
    struct pollfd socket = {.fd = 0, .events = POLLIN};
    signal(SIGCHLD, SIG_IGN);
    out = 0;
    while (poll(&socket, 1, IDLE_MS) > 0) {
        peer_size = sizeof peer;
        ssize_t length =
            recvfrom(0, line, sizeof line - 1, 0, (struct sockaddr *)&peer, &peer_size);
        if (length > 0 && fork() == 0) {
            line[length] = '\0';
            signal(SIGCHLD, SIG_DFL);
            obey(line);
            _exit(0);
        }
    }
}

int main(int argc, char **argv)
{
    const char *start = argc > 1 ? argv[1] : "";
    if (strcmp(start, "listen") == 0) {
        listen_for_ever();
    } else if (strcmp(start, "datagram") == 0) {
        hear_datagrams();
    } else {
        serve_connection(0);
    }
    return 0;
}
