#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_US 10000000u

uint64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

_Noreturn void bench_die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void bench_enter(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
        bench_die(path);
    }
    close(fd);
}

pid_t bench_start(const char *path, char **command)
{
    pid_t pid = fork();

    if (pid < 0) {
        bench_die("fork");
    }
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (path != NULL) {
            bench_enter(path);
        }
        dup2(null, STDOUT_FILENO);
        execvp(command[0], command);
        bench_die(command[0]);
    }
    return pid;
}

void bench_wait(pid_t pid, const char *name)
{
    int status = 0;

    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "bench: %s failed (status %d)\n", name, status);
        exit(1);
    }
}

static int try_connect(const struct sockaddr_in *to)
{
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        bench_die("socket");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int bench_connect(const char *address, uint16_t port, int once)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    uint64_t until = bench_now() + PATIENCE_US;
    int fd;

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        bench_die(address);
    }
    while ((fd = try_connect(&to)) < 0 && errno == ECONNREFUSED && !once) {
        if (bench_now() > until) {
            break;
        }
        usleep(100);
    }
    if (fd < 0 && !once) {
        bench_die("connect");
    }
    return fd;
}

int bench_first_byte(int fd, const char *path)
{
    char request[512], byte;
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);

    return send(fd, request, (size_t)length, MSG_NOSIGNAL) == length && recv(fd, &byte, 1, 0) == 1;
}
