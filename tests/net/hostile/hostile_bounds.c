/* What it can use up, and damage to itself. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024 * 1024)

/* --- numbers of things --- */

static long count_processes(void)
{
    static pid_t children[2000];
    long count = 0;
    while (count < 2000) {
        pid_t pid = fork();
        if (pid < 0) {
            break;
        }
        if (pid == 0) {
            setsid();
            for (;;) {
                pause();
            }
        }
        children[count++] = pid;
    }
    for (long i = 0; i < count; i++) {
        kill(children[i], SIGKILL);
    }
    return count;
}

static long count_descriptors(void)
{
    long count = 0;
    while (count < 100000 && open("/dev/null", O_RDONLY) >= 0) {
        count++;
    }
    for (int fd = 8; fd < 8 + count; fd++) {
        close(fd);
    }
    return count;
}

static long count_names(void)
{
    char name[64];
    long count = 0;
    for (; count < 20000; count++) {
        snprintf(name, sizeof name, "/var/tmp/d%ld", count);
        if (mkdir(name, 0700) < 0) {
            break;
        }
    }
    for (long i = 0; i < count; i++) {
        snprintf(name, sizeof name, "/var/tmp/d%ld", i);
        rmdir(name);
    }
    return count;
}

static long count_file_bytes(void)
{
    static char block[MIB];
    int fd = open("/var/tmp/full", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    long size = 0;
    ssize_t length;
    memset(block, 1, sizeof block);
    while (size < 1024 && (length = write(fd, block, sizeof block)) == (ssize_t)sizeof block) {
        size++;
    }
    close(fd);
    unlink("/var/tmp/full");
    return size;
}

static long count_timers(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    timer_t timer;
    long count = 0;
    while (count < 50000 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) {
        count++;
    }
    return count;
}

static long count_signals(void)
{
    sigset_t all;
    union sigval nothing = {0};
    long count = 0;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    while (count < 50000 && sigqueue(getpid(), SIGRTMIN + 1, nothing) == 0) {
        count++;
    }
    return count;
}

static long count_queues(void)
{
    struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    char name[32];
    long count = 0;
    for (; count < 1000; count++) {
        snprintf(name, sizeof name, "/q%ld", count);
        if (mq_open(name, O_RDWR | O_CREAT, 0600, &attributes) < 0) {
            break;
        }
    }
    return count;
}

/* Counts in a child, so that what it holds goes with it. */
static long (*counting)(void);
static int channel[2];
static int count_and_tell(void)
{
    long count = counting();
    return write(channel[1], &count, sizeof count) == (ssize_t)sizeof count ? 0 : 1;
}

static void count_in_child(const char *name, long (*count)(void), long limit)
{
    long result = -1;
    counting = count;
    if (pipe(channel) < 0) {
        say("BROKE the test: no pipe");
        return;
    }
    int status = in_child(count_and_tell, 20);
    fcntl(channel[0], F_SETFL, O_NONBLOCK);
    if (status != 0 || read(channel[0], &result, sizeof result) != (ssize_t)sizeof result) {
        result = status == 0 ? limit : 0; /* killed: that was the bound */
    }
    close(channel[0]);
    close(channel[1]);
    bounded(name, result, limit);
}

void group_bounds(void)
{
    static const struct {
        const char *name;
        int resource;
        rlim_t limit;
    } limits[] = {{"RLIMIT_NOFILE", RLIMIT_NOFILE, 1 << 20},
                  {"RLIMIT_NPROC", RLIMIT_NPROC, 1 << 20},
                  {"RLIMIT_CORE", RLIMIT_CORE, RLIM_INFINITY},
                  {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK, RLIM_INFINITY},
                  {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE, 1 << 20},
                  {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING, 1 << 20},
                  {"RLIMIT_RTPRIO", RLIMIT_RTPRIO, 50},
                  {"RLIMIT_NICE", RLIMIT_NICE, 40}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rlimit before, after, wanted = {limits[i].limit, limits[i].limit};
        getrlimit((unsigned)limits[i].resource, &before);
        setrlimit((unsigned)limits[i].resource, &wanted);
        getrlimit((unsigned)limits[i].resource, &after);
        say("%s a higher %s", after.rlim_max == before.rlim_max ? "held" : "BROKE", limits[i].name);
    }
    struct sched_param real_time = {.sched_priority = 10};
    attempt("real time", sched_setscheduler(0, SCHED_FIFO, &real_time));
    attempt("a better priority", setpriority(PRIO_PROCESS, 0, -5));
    attempt("locking memory", mlockall(MCL_CURRENT | MCL_FUTURE));
    count_in_child("descriptors", count_descriptors, 5000);
    count_in_child("names in /var", count_names, 5000);
    count_in_child("MiB in /var", count_file_bytes, 20);
    count_in_child("timers", count_timers, 300);
    count_in_child("pending signals", count_signals, 300);
    count_in_child("POSIX message queues", count_queues, 1);
    if (value_number("groups")) {
        count_in_child("processes", count_processes, 300);
    }
}

/* --- memory, in every way that there is --- */

#define ENOUGH (1024LL * MIB) /* twice what a share may have */

static long long filled; /* bytes */

static bool is_enough(long long more)
{
    filled += more;
    return filled >= ENOUGH;
}

static void fill_anonymous(void)
{
    for (;;) {
        char *memory = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            return;
        }
        memset(memory, 1, MIB);
        if (is_enough(MIB)) {
            return;
        }
    }
}

static void fill_memfd(void)
{
    static char block[MIB];
    memset(block, 1, sizeof block);
    int fd = memfd_create("x", 0);
    while (write(fd, block, sizeof block) > 0 && !is_enough(MIB)) {
    }
}

static void fill_shm(void)
{
    const size_t size = 16 * MIB;
    for (;;) {
        int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
        char *memory = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
        if (memory == (void *)-1) {
            return;
        }
        memset(memory, 1, size);
        shmdt(memory);
        if (is_enough((long long)size)) {
            return;
        }
    }
}

static void fill_messages(void)
{
    static struct {
        long type;
        char text[8000];
    } message = {.type = 1};
    for (;;) {
        int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
        if (id < 0) {
            return;
        }
        while (msgsnd(id, &message, sizeof message.text, IPC_NOWAIT) == 0) {
            if (is_enough(sizeof message.text)) {
                return;
            }
        }
    }
}

static void fill_semaphores(void)
{
    const int count = 32000; /* 64 bytes each */
    while (semget(IPC_PRIVATE, count, IPC_CREAT | 0600) >= 0 && !is_enough(64LL * count)) {
    }
}

static void fill_pipes(void)
{
    static char block[65536];
    int ends[2];
    while (pipe2(ends, O_NONBLOCK) == 0) {
        fcntl(ends[1], F_SETPIPE_SZ, MIB);
        while (write(ends[1], block, sizeof block) > 0) {
            if (is_enough(sizeof block)) {
                return;
            }
        }
    }
}

static bool send_end(int through, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    control.header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(through, &message, MSG_DONTWAIT) == 1;
}

/* Full sockets on their way to somebody: they count as nobody's descriptors. */
static void fill_flight(void)
{
    static char block[65536];
    int carrier[2], ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, carrier) < 0) {
        return;
    }
    while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0) {
        ssize_t sent;
        while ((sent = send(ends[0], block, sizeof block, MSG_DONTWAIT)) > 0) {
            if (is_enough(sent)) {
                return;
            }
        }
        if (!send_end(carrier[0], ends[1]) &&
            (errno != EAGAIN || socketpair(AF_UNIX, SOCK_STREAM, 0, carrier) < 0)) {
            return;
        }
        close(ends[0]);
        close(ends[1]);
    }
}

static void fill_epoll(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0);
    for (;;) {
        int fd = timerfd_create(CLOCK_MONOTONIC, 0);
        if (fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 || is_enough(256)) {
            return;
        }
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} fills[] = {{"anonymous", fill_anonymous},
             {"memfd", fill_memfd},
             {"shm", fill_shm},
             {"messages", fill_messages},
             {"semaphores", fill_semaphores},
             {"pipes", fill_pipes},
             {"flight", fill_flight},
             {"epoll", fill_epoll}};

/* To be killed for it is to be held, too: then there is no further answer. */
void group_fill(void)
{
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        if (strcmp(fills[i].name, value("kind")) == 0) {
            say("held filling %s", fills[i].name);
            fills[i].run();
            say("%s filled %s: %lld MiB, then %s", filled < ENOUGH ? "held" : "BROKE",
                fills[i].name, filled / MIB, strerrorname_np(errno));
        }
    }
}

/* --- damage to itself, and staying --- */

void group_spin(void)
{
    for (long i = 0; i < value_number("count"); i++) {
        if (fork() == 0) {
            setsid();
            alarm((unsigned)value_number("seconds"));
            for (;;) {
            }
        }
    }
}

/* kill(2): -1 spares only PID 1, which takes no SIGKILL from inside. */
void group_kill(void)
{
    kill(1, SIGKILL);
    kill(-1, SIGKILL);
}

void group_stop(void)
{
    kill(1, SIGSTOP);
    kill(-1, SIGSTOP);
}

/* Ignores what it can, in a session of its own, away from its parent. */
void group_hold(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            for (int number = 1; number < 65; number++) {
                signal(number, SIG_IGN);
            }
            for (int fd = 0; fd < 3; fd++) {
                close(fd);
            }
            for (;;) {
                sleep(10);
            }
        }
        _exit(0);
    }
}
