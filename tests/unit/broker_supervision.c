/* A supervisor that answers wrongly, late or not at all: played by a child process. */
#include "supervision.h"

#include "beneath.h"
#include "cleanup.h"
#include "loop.h"
#include "test.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ID "0123456789abcdef"

static char place[] = "/tmp/cdss-unit-supervision.XXXXXX";
static int run_fd, listener;

static void set_up(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    CHECK(mkdtemp(place) != NULL);
    run_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(run_fd >= 0 && mkdirat(run_fd, ID, 0700) == 0);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/" ID "/control", place);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(listener, 4) == 0);
}

static void tear_down(void)
{
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    close(listener);
    close(run_fd);
    CHECK(beneath_remove(tmp, place + strlen("/tmp/"), 100) == 0);
    close(tmp);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Answers one request with `length` bytes of a reply that says `error`; 0 bytes: hangs up. Its exit
 * status is 0 when the request was a right one. */
static pid_t play(int32_t error, size_t length)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    static char buffer[sizeof(struct supervisor_request) + 100];
    struct supervisor_reply reply[2] = {{.error = error}};
    int fds[4];
    unsigned n_fds;
    alarm(10);
    int fd = accept(listener, NULL, NULL);
    ssize_t got = worker_hear(fd, buffer, sizeof buffer, fds, &n_fds);
    const struct supervisor_request *request = (const void *)buffer;
    bool right = got == (ssize_t)sizeof *request && request->kind == SUPERVISOR_ADD_READER &&
                 strcmp(request->service.name, "reader") == 0 && n_fds == 1;
    if (length > 0) {
        send(fd, reply, length, MSG_NOSIGNAL);
    }
    _exit(!right);
}

static int add_reader(int timeout_ms)
{
    struct supervisor_service service = {.name = "reader"};
    CLEANUP_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    return supervision_add_reader(run_fd, ID, &service, null, timeout_ms);
}

static void replies(void)
{
    static const struct {
        int32_t error;
        size_t length;
        int want;
    } rows[] = {
        {0, sizeof(struct supervisor_reply), 0},
        {-ENOSPC, sizeof(struct supervisor_reply), -ENOSPC},
        {1, sizeof(struct supervisor_reply), -EPROTO},
        {INT32_MIN, sizeof(struct supervisor_reply), -EPROTO}, /* has no positive */
        {-100000, sizeof(struct supervisor_reply), -EPROTO},
        {0, 4, -EPROTO},
        {0, 0, -EPROTO},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int status = -1;
        pid_t pid = play(rows[i].error, rows[i].length);
        int r = add_reader(5000);
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        CHECK(r == rows[i].want);
        if (r != rows[i].want) {
            printf("# row %zu: %d\n", i, r);
        }
    }
}

/* Nobody accepts: the time is kept, and when the queue of connections is full it is not needed. */
static void silence(void)
{
    uint64_t begun = now_ms();

    CHECK(add_reader(200) == -ETIMEDOUT);
    CHECK(now_ms() - begun >= 190 && now_ms() - begun < 3000);
    begun = now_ms();
    for (unsigned i = 0; i < 20; i++) {
        supervision_reload(run_fd, ID);
    }
    CHECK(now_ms() - begun < 1000);
    CHECK(add_reader(5000) == -EAGAIN);
    CHECK(now_ms() - begun < 3000);
}

static void nobody_there(void)
{
    struct supervisor_service service = {.name = "reader"};

    supervision_reload(run_fd, "fedcba9876543210");
    CHECK(supervision_add_reader(run_fd, "fedcba9876543210", &service, 0, 100) == -ENOENT);
}

static void statuses(void)
{
    struct supervisor_status status = {0}, got;
    CLEANUP_CLOSE int fd = memfd_create("status", MFD_CLOEXEC);

    memset(&got, 7, sizeof got);
    struct supervisor_status before = got;
    status.services[3].failures = 5;
    CHECK(supervision_status(-1, &got) < 0);
    CHECK(supervision_status(fd, &got) < 0); /* empty */
    CHECK(write(fd, &status, sizeof status - 1) == (ssize_t)sizeof status - 1);
    CHECK(supervision_status(fd, &got) < 0); /* a byte short */
    CHECK(memcmp(&got, &before, sizeof got) == 0);
    CHECK(pwrite(fd, &status, sizeof status, 0) == (ssize_t)sizeof status);
    CHECK(supervision_status(fd, &got) == 0 && got.services[3].failures == 5);
}

/* -- asked for its status memfd -- */

enum handed { NOTHING, A_FILE, UNSEALED, TOO_SHORT, TOO_LONG, SHORT_REPLY, AN_ERROR, RIGHT };

static int make_memfd(enum handed what)
{
    const off_t size =
        (off_t)sizeof(struct supervisor_status) + (what == TOO_LONG) - (what == TOO_SHORT);
    int fd = memfd_create("status", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd >= 0 && ftruncate(fd, size) == 0);
    if (what != UNSEALED) {
        CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    }
    return fd;
}

static pid_t hand(enum handed what)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    static char buffer[sizeof(struct supervisor_request) + 100];
    struct supervisor_reply reply = {.error = what == AN_ERROR ? -EINVAL : 0};
    int fds[4], fd = what == A_FILE ? open("/proc/self/exe", O_RDONLY) : make_memfd(what);
    unsigned n_fds;
    alarm(10);
    int peer = accept(listener, NULL, NULL);
    worker_hear(peer, buffer, sizeof buffer, fds, &n_fds);
    bool right =
        ((const struct supervisor_request *)(const void *)buffer)->kind == SUPERVISOR_HAND_STATUS;
    worker_tell(peer, &reply, what == SHORT_REPLY ? 4 : sizeof reply, &fd, what != NOTHING);
    _exit(!right);
}

static struct loop *loop;
static int came_fd;

static void came(int status_fd, void *user_data)
{
    CHECK(user_data == &came_fd);
    came_fd = status_fd;
    loop_stop(loop);
}

/* Whatever it hands over, only a memfd of the right size that nobody can cut is believed. */
static void handed_over(void)
{
    CHECK(loop_open(&loop) == 0);
    for (enum handed what = NOTHING; what <= RIGHT; what++) {
        struct supervision_question *question = NULL;
        int status = -1;
        pid_t pid = hand(what);
        came_fd = -2;
        CHECK(supervision_ask_status(loop, run_fd, ID, came, &came_fd, &question) == 0);
        CHECK(loop_run(loop) == 0);
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        CHECK((came_fd >= 0) == (what == RIGHT));
        if (came_fd >= 0) {
            struct supervisor_status got;
            CHECK(supervision_status(came_fd, &got) == 0);
            close(came_fd);
        }
        supervision_drop(&question);
        CHECK(question == NULL);
    }
    loop_close(loop);
}

TEST_MAIN({"set up", set_up}, {"replies", replies}, {"a status that is handed over", handed_over},
          {"silence", silence}, {"nobody there", nobody_there}, {"statuses", statuses},
          {"nothing is left", tear_down})
