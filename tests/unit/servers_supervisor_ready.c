/*
 * The checks before a share is active, driven as supervisor_run.c drives them, with a limit of time
 * that is brought forward. The checks are this very program: the environment variable HELPER says
 * which.
 */
#include "supervisor_ready.h"
#include "supervisor_words.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVICES 2

/* ---- the checks ---- */

static void sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

/* Will not go when asked politely, and neither will its child. */
static int hang(void)
{
    signal(SIGTERM, SIG_IGN);
    if (fork() >= 0) {
        sleep_ms(30000);
    }
    return 1;
}

/* Never pauses, and says more than a pipe holds. */
static int babble(void)
{
    char line[4096];
    memset(line, 'x', sizeof line);
    while (write(1, line, sizeof line) > 0) {
    }
    return 1;
}

/* Its child keeps the standard output open. */
static int leave_child(void)
{
    if (fork() == 0) {
        sleep_ms(3000);
    }
    return 0;
}

static int succeed(void)
{
    return 0;
}

__attribute__((constructor)) static void become_helper(void)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } helpers[] = {
        {"hang", hang}, {"babble", babble}, {"leave-child", leave_child}, {"succeed", succeed}};
    const char *name = getenv("HELPER");
    for (size_t i = 0; name != NULL && i < sizeof helpers / sizeof helpers[0]; i++) {
        if (strcmp(helpers[i].name, name) == 0) {
            _exit(helpers[i].run());
        }
    }
}

/* ---- a plan, and the loop ---- */

struct fixture {
    struct supervisor_plan *plan;
    struct ready ready;
    int answer; /* our end */
};

static void fixture_open(struct fixture *fixture, const char *const checks[SERVICES])
{
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    *fixture = (struct fixture){
        .plan = calloc(1, sizeof *fixture->plan + SERVICES * sizeof fixture->plan->services[0]),
        .answer = ends[0]};
    fixture->plan->ready_fd = ends[1];
    fixture->plan->n_services = SERVICES;
    for (int i = 0; i < SERVICES; i++) {
        struct supervisor_service *service = &fixture->plan->services[i];
        char variable[64];
        snprintf(service->name, sizeof service->name, "s%d", i + 1);
        snprintf(variable, sizeof variable, "HELPER=%s", checks[i]);
        service->start = SUPERVISOR_LISTEN;
        CHECK(words_add(&service->program, "/proc/self/exe") == 0);
        CHECK(words_add(&service->check, variable) == 0);
        CHECK(words_add(&service->check, "/proc/self/exe") == 0);
    }
}

static void reap(struct ready *ready)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        ready_ended(ready, pid, status);
    }
}

/* Returns when there is an answer, or after three seconds. Says how long it took. */
static uint64_t run(struct fixture *fixture, int limit_ms, struct supervisor_ready *ret)
{
    struct ready *ready = &fixture->ready;
    uint64_t started = events_now();
    ready_begin(ready, fixture->plan);
    CHECK(ready->until >= started + 10 * SECOND_NS && ready->until < started + 11 * SECOND_NS);
    ready->until = events_now() + (uint64_t)limit_ms * MS_NS;
    while (!ready->over && events_now() < started + 3 * SECOND_NS) {
        struct events events = {0};
        events_wake(&events, events_now() + 20 * MS_NS); /* there is no SIGCHLD here */
        ready_watch(ready, &events);
        events_wait(&events);
        reap(ready);
        CHECK(ready_answer(ready) == (ready->answer.failed == 0));
    }
    memset(ret, 0x55, sizeof *ret);
    CHECK(read(fixture->answer, ret, sizeof *ret) == (ssize_t)sizeof *ret);
    return (events_now() - started) / MS_NS;
}

/* True when, within the time, no process is left. */
static bool is_alone(int ms)
{
    for (uint64_t end = events_now() + (uint64_t)ms * MS_NS; events_now() < end; sleep_ms(10)) {
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD) {
            return true;
        }
    }
    return false;
}

static void fixture_close(struct fixture *fixture)
{
    close(fixture->answer);
    free(fixture->plan);
}

static void test_in_time(void)
{
    static const char *const checks[] = {"succeed", "succeed"};
    struct fixture fixture;
    struct supervisor_ready answer;
    fixture_open(&fixture, checks);
    CHECK(run(&fixture, 2500, &answer) < 1500);
    CHECK(answer.failed == 0);
    CHECK_TEXT(answer.reason, "");
    CHECK(is_alone(100));
    fixture_close(&fixture);
}

/* The answer comes when the time is over, and neither the check nor its child lives on. */
static void check_too_late(const char *helper)
{
    const char *const checks[] = {"succeed", helper};
    struct fixture fixture;
    struct supervisor_ready answer;
    fixture_open(&fixture, checks);
    uint64_t ms = run(&fixture, 400, &answer);
    CHECK(ms >= 400 && ms < 1500);
    CHECK(answer.failed == 1);
    CHECK_TEXT(answer.service, "s2");
    CHECK_TEXT(answer.reason, "its check took longer than 10 seconds");
    CHECK(is_alone(1000));
    fixture_close(&fixture);
}

static void test_hangs(void)
{
    check_too_late("hang");
}

static void test_babbles(void)
{
    check_too_late("babble");
}

static void test_leaves_child(void)
{
    static const char *const checks[] = {"leave-child", "succeed"};
    struct fixture fixture;
    struct supervisor_ready answer;
    fixture_open(&fixture, checks);
    CHECK(run(&fixture, 2500, &answer) < 1500);
    CHECK(answer.failed == 0);
    fixture_close(&fixture);
    CHECK(is_alone(5000));
}

/* What a check leaves behind becomes a child of this process, as it would of PID 1. */
static void set_up(void)
{
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
}

TEST_MAIN({"set up", set_up}, {"checks that are in time", test_in_time},
          {"a check that hangs", test_hangs}, {"a check that never stops talking", test_babbles},
          {"a check that leaves a child", test_leaves_child})
