/* A loop of accept, one command, one answer. */
#include "sandbox_probe.h"

#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char answer[60000];
static char **variables;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    size_t used = strlen(answer);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(answer + used, sizeof answer - used, format, arguments);
    va_end(arguments);
}

static void say_errno(void)
{
    const char *name = strerrorname_np(errno);
    answer[0] = '\0';
    say("errno %s", name != NULL ? name : "?");
}

static void do_cat(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, answer, sizeof answer - 1);
    if (length < 0) {
        say_errno();
    } else {
        answer[length] = '\0';
    }
    close(fd);
}

static void do_stat(const char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0) {
        say_errno();
        return;
    }
    say("%o %u %u", status.st_mode & 07777, status.st_uid, status.st_gid);
}

static void do_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || write(fd, "x", 1) < 0) {
        say_errno();
    } else {
        say("written");
    }
    close(fd);
}

static void do_list(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        say_errno();
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.') {
            say("%s ", entry->d_name);
        }
    }
    closedir(directory);
}

static void do_link(const char *path)
{
    ssize_t length = readlink(path, answer, sizeof answer - 1);
    if (length < 0) {
        say_errno();
    } else {
        answer[length] = '\0';
    }
}

static void do_fds(const char *unused)
{
    (void)unused;
    for (int fd = 0; fd < 4096; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0) {
            say("%d%s ", fd, flags & FD_CLOEXEC ? "c" : "");
        }
    }
}

static void do_env(const char *unused)
{
    (void)unused;
    for (char **variable = variables; *variable != NULL; variable++) {
        say("%s ", *variable);
    }
}

static void do_try(const char *name)
{
    int r = probe_try(name);
    if (r == 0) {
        say("ok");
    } else if (r > 1000) {
        say("signal %s", sigabbrev_np(r - 1000));
    } else if (r < 0) {
        say("no such try");
    } else {
        errno = r;
        say_errno();
    }
}

static void do_run(const char *text)
{
    static char copy[4096];
    char *words[32], *rest = copy, number[32];
    size_t count = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word; (word = strsep(&rest, " ")) != NULL && count < 31;) {
        words[count++] = word;
    }
    words[count] = NULL;
    snprintf(number, sizeof number, "CDSS_FUSE_FD=%s", words[0]);
    char *environment[] = {number, (char *)"PATH=/usr/bin", NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execve(words[1], words + 1, environment);
        _exit(127);
    }
    say("%d", (int)pid);
}

static void do_close(const char *number)
{
    say(close((int)strtol(number, NULL, 10)) < 0 ? "errno" : "closed");
}

static void do_exec(const char *text)
{
    int status;
    do_run(text);
    waitpid((pid_t)strtol(answer, NULL, 10), &status, 0);
    answer[0] = '\0';
    if (WIFEXITED(status)) {
        say("exit %d", WEXITSTATUS(status));
    } else {
        say("signal %d", WTERMSIG(status));
    }
}

static const struct {
    const char *name;
    void (*run)(const char *argument);
} commands[] = {{"cat", do_cat},   {"stat", do_stat}, {"write", do_write}, {"list", do_list},
                {"link", do_link}, {"fds", do_fds},   {"env", do_env},     {"try", do_try},
                {"run", do_run},   {"exec", do_exec}, {"close", do_close}};

static void obey(const char *command)
{
    size_t length = strcspn(command, " ");
    const char *argument = command[length] != '\0' ? command + length + 1 : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strlen(commands[i].name) == length && memcmp(commands[i].name, command, length) == 0) {
            commands[i].run(argument);
            return;
        }
    }
    say("no such command");
}

static void become(const char *id)
{
    unsigned number = (unsigned)strtoul(id, NULL, 10);
    if (setgid(number) < 0 || setuid(number) < 0) {
        _exit(1);
    }
}

static void serve(int fd)
{
    char command[4096] = "";
    ssize_t length = recv(fd, command, sizeof command - 1, 0);
    answer[0] = '\0';
    if (length <= 0) {
        return;
    }
    command[length] = '\0';
    if (strncmp(command, "as ", 3) == 0) {
        pid_t pid = fork();
        if (pid == 0) {
            char *rest = strchr(command + 3, ' ');
            become(command + 3);
            obey(rest + 1);
            send(fd, answer, strlen(answer), 0);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        return;
    }
    obey(command);
    send(fd, answer, strlen(answer), 0);
}

static struct supervisor_plan *read_plan(void)
{
    struct stat status;
    if (fstat(SUPERVISOR_PLAN_FD, &status) < 0) {
        return NULL;
    }
    struct supervisor_plan *plan = malloc((size_t)status.st_size);
    if (plan == NULL || read(SUPERVISOR_PLAN_FD, plan, (size_t)status.st_size) != status.st_size) {
        /* the other supervisor shares the offset */
        if (plan == NULL ||
            pread(SUPERVISOR_PLAN_FD, plan, (size_t)status.st_size, 0) != status.st_size) {
            return NULL;
        }
    }
    return plan;
}

int main(int argc, char **argv, char **environment)
{
    struct supervisor_plan *plan = read_plan();
    bool host = argc > 1 && strcmp(argv[1], "host") == 0;
    variables = environment;
    for (uint32_t i = 0; plan != NULL && i < plan->n_services; i++) {
        struct supervisor_service *service = &plan->services[i];
        if (service->start == SUPERVISOR_READER || (service->network_host != 0) != host) {
            continue;
        }
        if (!host && argc > 2) {
            setenv("SECOND", argv[2], 1);
        }
        dprintf(plan->ready_fd, "%s\n", argv[1]);
        for (;;) {
            int fd = accept4(service->sockets[0], NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0) {
                return 1;
            }
            serve(fd);
            close(fd);
        }
    }
    return 2;
}
