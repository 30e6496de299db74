/* Real workers in a real loop: what they say, and every way in which they end. */
#include "worker.h"

#include "cleanup.h"
#include "loop.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define LIMIT_NS 10000000000ull

static struct loop *loop;
static struct loop_timer *limit;
static struct worker *worker;
static unsigned heard, gone;
static char last[64];
static size_t longest;
static int got_fd;

static void too_long(void *user_data)
{
    (void)user_data;
    limit = NULL;
    CHECK(!"the worker ended in time");
    loop_stop(loop);
}

static void message_heard(const void *message, size_t length, int *fds, unsigned n_fds,
                          void *user_data)
{
    (void)user_data;
    CHECK(gone == 0);
    heard++;
    longest = length > longest ? length : longest;
    snprintf(last, sizeof last, "%.*s", (int)(length < 60 ? length : 60), (const char *)message);
    got_fd = n_fds > 0 ? fds[0] : -1;
    if (strcmp(last, "ask") == 0) {
        CHECK(worker_send(worker, "answer", 7) == 0);
    } else if (strcmp(last, "kill me") == 0) {
        worker_kill(worker);
    }
}

static void worker_is_gone(void *user_data)
{
    (void)user_data;
    gone++;
    loop_stop(loop);
}

static void run(worker_work *work)
{
    heard = gone = 0;
    longest = 0;
    last[0] = '\0';
    got_fd = -1;
    CHECK(loop_open(&loop) == 0);
    CHECK(loop_at(loop, loop_now() + LIMIT_NS, too_long, NULL, &limit) == 0);
    CHECK(worker_start(loop, work, message_heard, worker_is_gone, NULL, &worker) == 0);
    CHECK(loop_run(loop) == 0);
    loop_close(loop);
    CHECK(gone == 1);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static int open_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void ask_and_report(int fd, void *user_data)
{
    char answer[16] = "";
    int fds[4];
    unsigned n_fds;

    (void)user_data;
    worker_tell(fd, "ask", 4, NULL, 0);
    worker_hear(fd, answer, sizeof answer, fds, &n_fds);
    worker_tell(fd, answer, strlen(answer) + 1, NULL, 0);
}

static void conversation(void)
{
    run(ask_and_report);
    CHECK(heard == 2);
    CHECK_TEXT(last, "answer");
}

/* More than one turn of the loop hears, and dead before any of it is read. */
static void say_much(int fd, void *user_data)
{
    char text[16];

    (void)user_data;
    for (unsigned i = 1; i <= 200; i++) {
        snprintf(text, sizeof text, "%u", i);
        worker_tell(fd, text, strlen(text) + 1, NULL, 0);
    }
    raise(SIGKILL);
}

static void last_words(void)
{
    run(say_much);
    CHECK(heard == 200);
    CHECK_TEXT(last, "200");
}

/* The broker's answer stays unread: the kernel then says ECONNRESET ahead of what was sent. */
static void ask_and_die(int fd, void *user_data)
{
    (void)user_data;
    worker_tell(fd, "ask", 4, NULL, 0);
    poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5000);
    worker_tell(fd, "words", 6, NULL, 0);
}

static void last_words_behind_an_unread_answer(void)
{
    run(ask_and_die);
    CHECK(heard == 2);
    CHECK_TEXT(last, "words");
}

static void hang(int fd, void *user_data)
{
    (void)user_data;
    worker_tell(fd, "kill me", 8, NULL, 0);
    poll(NULL, 0, 60000);
}

static void killed(void)
{
    run(hang);
    CHECK(heard == 1);
}

static void survive(int fd, void *user_data)
{
    (void)user_data;
    raise(SIGTERM);
    raise(SIGINT);
    worker_tell(fd, "alive", 6, NULL, 0);
}

static void not_ended_by_the_groups_signals(void)
{
    run(survive);
    CHECK_TEXT(last, "alive");
}

static void send_descriptor(int fd, void *user_data)
{
    int null = open("/dev/null", O_RDONLY);

    (void)user_data;
    worker_tell(fd, "take it", 8, &null, 1);
}

static void descriptors(void)
{
    int before = open_descriptors();

    run(send_descriptor);
    CHECK(got_fd >= 0 && (fcntl(got_fd, F_GETFD) & FD_CLOEXEC));
    close(got_fd);
    CHECK(open_descriptors() == before);
}

static void send_longest(int fd, void *user_data)
{
    CLEANUP_FREE char *message = calloc(1, WORKER_MESSAGE_MAX);

    (void)user_data;
    message[0] = 'l';
    worker_tell(fd, message, WORKER_MESSAGE_MAX, NULL, 0);
}

static void longest_message(void)
{
    run(send_longest);
    CHECK(heard == 1 && longest == WORKER_MESSAGE_MAX);
}

/* No half message, and no descriptor that nobody has. The worker would go on for a minute. */
static void send_too_much(int fd, void *user_data)
{
    CLEANUP_FREE char *message = calloc(1, WORKER_MESSAGE_MAX + 1);
    int null = open("/dev/null", O_RDONLY);

    (void)user_data;
    worker_tell(fd, message, WORKER_MESSAGE_MAX + 1, &null, 1);
    poll(NULL, 0, 60000);
}

static void message_too_long(void)
{
    int before = open_descriptors();

    run(send_too_much);
    CHECK(heard == 0);
    CHECK(open_descriptors() == before);
}

static void loop_closed(void)
{
    int before = open_descriptors();

    CHECK(loop_open(&loop) == 0);
    loop_close(loop);
    CHECK(open_descriptors() == before);
}

TEST_MAIN({"a conversation", conversation}, {"all is heard of one that is dead", last_words},
          {"also when it left an answer unread", last_words_behind_an_unread_answer},
          {"a worker can be killed", killed},
          {"SIGTERM and SIGINT to the group leave it alone", not_ended_by_the_groups_signals},
          {"descriptors", descriptors}, {"the longest message", longest_message},
          {"a message that is too long ends the worker", message_too_long},
          {"the loop leaves no descriptor", loop_closed})
