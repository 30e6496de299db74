/*
 * What a share cannot cost less than, one after the other: one durable commit, one nftables
 * transaction, clone(2) into the namespaces that a sandbox has, and the exec of the same lighttpd
 * until a client has its first byte.
 *
 *   bench_floor CLIENT-NAMESPACE ADDRESS DIRECTORY CONFIGURATION
 *
 * Runs in the server's network namespace, with a database and a firewall that are open already, as
 * the broker's are. Nothing is checked, no image is mounted, no port is redirected, no right is
 * given up. A line on standard input is a round; prints the microseconds of each round: commit,
 * transaction, all.
 */
#include "address.h"
#include "bench.h"
#include "firewall.h"
#include "parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK      0x5e000001u
#define UID_FIRST 2050000000u
#define LISTEN_FD 3 /* sd_listen_fds(3) */
#define SCHEMA                                                                                     \
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"                                        \
    "CREATE TABLE shares (id INTEGER PRIMARY KEY, what TEXT NOT NULL)"

static sqlite3 *database;
static struct firewall *firewall;
static struct prefix client;
static struct firewall_service service = {.transport = IPPROTO_TCP, .public_port = 8080};
static struct firewall_share share = {.id = "f100",
                                      .mark = MARK,
                                      .uid_first = UID_FIRST,
                                      .uid_count = 4,
                                      .clients = &client,
                                      .n_clients = 1,
                                      .services = &service,
                                      .n_services = 1,
                                      .timeout_ms = 3600000};

static void sql(const char *statement)
{
    if (sqlite3_exec(database, statement, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "bench: %s\n", sqlite3_errmsg(database));
        exit(1);
    }
}

static void open_all(const char *directory)
{
    const struct firewall_settings settings = {.mark_prefix = MARK >> 24,
                                               .passive = {30000, 31999},
                                               .uid_first = UID_FIRST,
                                               .uid_last = UID_FIRST + 3};
    char path[512];

    snprintf(path, sizeof path, "%s/floor.sqlite", directory);
    unlink(path);
    if (sqlite3_open(path, &database) != SQLITE_OK) {
        bench_die(path);
    }
    sql(SCHEMA);
    errno = -firewall_open(&settings, &firewall);
    errno = errno == 0 ? -firewall_install(firewall, NULL, 0) : errno;
    if (errno != 0 || parse_prefix("10.99.0.1", 9, &client, NULL) != 0) {
        bench_die("the firewall");
    }
}

static int listen_on(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        bench_die("listen");
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void write_file(pid_t pid, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        bench_die(path);
    }
    close(fd);
}

/* As the supervisor starts it: LISTEN_FDS, and a socket that was bound before. */
static _Noreturn void become_server(int word, int listener, const char *configuration)
{
    char *command[] = {(char *)"lighttpd", (char *)"-D", (char *)"-f",
                       (char *)(uintptr_t)configuration, NULL};
    char byte;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWCGROUP | CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNET) < 0 ||
        write(word, "u", 1) != 1 || read(word, &byte, 1) != 1 || dup2(listener, LISTEN_FD) < 0) {
        _exit(1);
    }
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", "1", 1);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    fcntl(LISTEN_FD, F_SETFD, 0);
    execv("/usr/sbin/lighttpd", command);
    _exit(1);
}

static pid_t start_server(int listener, const char *configuration)
{
    int pair[2];
    char byte;
    struct clone_args arguments = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS, .exit_signal = SIGCHLD};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        bench_die("socketpair");
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) {
        bench_die("clone3");
    }
    if (pid == 0) {
        become_server(pair[1], listener, configuration);
    }
    close(pair[1]);
    if (read(pair[0], &byte, 1) != 1) {
        bench_die("the new process");
    }
    write_file(pid, "uid_map", "0 0 65536");
    write_file(pid, "gid_map", "0 0 65536");
    if (write(pair[0], "g", 1) != 1) {
        bench_die("the new process");
    }
    close(pair[0]);
    return pid;
}

static void one_round(int client_namespace, const char *address, const char *configuration)
{
    uint64_t began = bench_now();
    sql("INSERT INTO shares (what) VALUES ('one share')");
    uint64_t committed = bench_now();
    uint16_t port;
    int listener = listen_on(&port);
    service.instance_port = (uint16_t)(20000 + port % 10000);
    errno = -firewall_share_add(firewall, &share);
    if (errno != 0) {
        bench_die("the transaction");
    }
    uint64_t opened = bench_now();
    pid_t pid = start_server(listener, configuration);
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0 || setns(client_namespace, CLONE_NEWNET) < 0) {
        bench_die("the client's namespace");
    }
    int fd = bench_connect(address, port, 0);
    if (!bench_first_byte(fd, "/")) {
        bench_die("no byte of the server");
    }
    uint64_t ended = bench_now();
    printf("%llu %llu %llu\n", (unsigned long long)(committed - began),
           (unsigned long long)(opened - committed), (unsigned long long)(ended - began));
    fflush(stdout);
    close(fd);
    close(listener);
    if (setns(own, CLONE_NEWNET) < 0) {
        bench_die("the server's namespace");
    }
    close(own);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    firewall_share_end(firewall, &share);
    firewall_share_forget(firewall, &share);
}

/* A line on standard input is one round, so that others can be measured in between. */
int main(int argc, char **argv)
{
    char line[8];

    if (argc != 5) {
        fprintf(stderr, "Usage: bench_floor CLIENT-NAMESPACE ADDRESS DIRECTORY CONFIGURATION\n");
        return 2;
    }
    int client_namespace = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (client_namespace < 0) {
        bench_die(argv[1]);
    }
    open_all(argv[3]);
    while (fgets(line, sizeof line, stdin) != NULL) {
        one_round(client_namespace, argv[2], argv[4]);
    }
    firewall_uninstall(firewall);
    firewall_close(firewall);
    sqlite3_close(database);
    return 0;
}
