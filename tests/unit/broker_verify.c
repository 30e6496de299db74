/*
 * Hashing and checking in real children: what is right and wrong, what hostile hashes cost, what a
 * child can still do (nothing), who waits for whom, and where secrets are afterwards. Needs root.
 */
#include "verify.h"

#include "cleanup.h"
#include "test.h"
#include "text.h"
#include "verify_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECKER_UID 2100900000u
#define LIMIT_NS    100000000000ull
#define ORDERS      100

/* All of "secret". */
#define YESCRYPT "$y$j75$6WSV5Y7XOcW0efdvmBjFI1$"
#define SHA512                                                                                     \
    "ODQ2SgFtBZLTUNbS$OlRQJMEguZbqupY46tHvS3Ax85Ix2jmicLiQRZgAH5PeicYApc35B.YPiHUHQ6RGyXD1qp5oQC0" \
    "WwuuT2s4cV/"
static const char *const of_secret[] = {
    "$6$" SHA512, "$5$g9lRz4SMa9zxFyhJ$BwgRyUEc1BgAh2RqYhjfVKHbPOxooih4aluKoB6HcT/",
    "$2b$04$O1U6dxUkgP.B/csYZdOOe.y9QvfaMDdRBPAcqKcoqQkEGhnPpJHMK",
    "$gy$j9T$6WSV5Y7XOcW0efdvmBjFI1$18CqdDY1BktbexREriqSK//ER24SqsmxjGeubxeu.L3"};
static const char rounds[] = "$6$rounds=999999999$" SHA512;
#define QUICK   of_secret[2]
#define FOREVER "$2b$31$O1U6dxUkgP.B/csYZdOOe.y9QvfaMDdRBPAcqKcoqQkEGhnPpJHMK"

static const struct verify_asker root = {.name = "uid 0", .administrator = true};

static struct loop *loop;
static struct verify *verify;
static struct loop_timer *limit;
static unsigned answers;

/* What came of one order. */
struct outcome {
    struct verify_order *order;
    enum verify_result results[VERIFY_PAIRS_MAX];
    uint32_t count;
    int error;
    char hash[VERIFY_HASH_MAX + 1];
    unsigned place; /* 1: answered first */
    bool ends_loop;
};

static void too_long(void *user_data)
{
    (void)user_data;
    limit = NULL;
    CHECK(!"it took too long");
    loop_stop(loop);
}

static void begin(void)
{
    answers = 0;
    CHECK(loop_open(&loop) == 0);
    CHECK(verify_open(loop, CDSS_VERIFY, CHECKER_UID, &verify) == 0);
    CHECK(loop_at(loop, loop_now() + LIMIT_NS, too_long, NULL, &limit) == 0);
}

static void no_child_left(void *user_data)
{
    (void)user_data;
    loop_stop(loop);
}

static void end(void)
{
    verify_stop(verify, no_child_left, NULL);
    loop_run(loop);
    CHECK(!verify_running(verify));
    verify_close(verify);
    loop_cancel(&limit);
    loop_close(loop);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static struct loop_timer *pause_timer;

static void pause_over(void *user_data)
{
    (void)user_data;
    pause_timer = NULL;
    loop_stop(loop);
}

/* Lets the loop run for a while, or until something stops it. */
static void run_for(unsigned ms)
{
    CHECK(loop_at(loop, loop_now() + ms * 1000000ull, pause_over, NULL, &pause_timer) == 0);
    loop_run(loop);
    loop_cancel(&pause_timer);
}

static void answered(struct outcome *outcome)
{
    outcome->order = NULL;
    outcome->place = ++answers;
    if (outcome->ends_loop) {
        loop_stop(loop);
    }
}

static void checked(const enum verify_result *results, uint32_t count, void *user_data)
{
    struct outcome *outcome = user_data;
    memcpy(outcome->results, results, count * sizeof *results);
    outcome->count = count;
    answered(outcome);
}

static void hashed(int error, const char *hash, void *user_data)
{
    struct outcome *outcome = user_data;
    outcome->error = error;
    snprintf(outcome->hash, sizeof outcome->hash, "%s", hash != NULL ? hash : "");
    answered(outcome);
}

static int ask(const struct verify_asker *asker, const struct verify_pair *pairs, uint32_t count,
               struct outcome *outcome)
{
    return verify_check(verify, asker, pairs, count, checked, outcome, &outcome->order);
}

static enum verify_result check_one(const char *hash, const char *secret)
{
    struct outcome outcome = {.ends_loop = true};
    const struct verify_pair pair = {hash, secret};
    CHECK(ask(&root, &pair, 1, &outcome) == 0);
    CHECK(outcome.place == 0); /* never from within */
    loop_run(loop);
    CHECK(outcome.count == 1);
    return outcome.results[0];
}

static void hash_one(const char *secret, char hash[VERIFY_HASH_MAX + 1])
{
    struct outcome outcome = {.ends_loop = true};
    CHECK(verify_hash(verify, &root, secret, hashed, &outcome, &outcome.order) == 0);
    loop_run(loop);
    CHECK(outcome.error == 0);
    memcpy(hash, outcome.hash, VERIFY_HASH_MAX + 1);
}

/* -- right and wrong -- */

static void every_method_tells_right_from_wrong(void)
{
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(of_secret); i++) {
        CHECK(check_one(of_secret[i], "secret") == VERIFY_RIGHT);
        CHECK(check_one(of_secret[i], "Secret") == VERIFY_WRONG);
        CHECK(check_one(of_secret[i], "") == VERIFY_WRONG);
    }
    end();
}

static void a_new_hash_is_yescrypt_with_a_salt_of_its_own(void)
{
    char one[VERIFY_HASH_MAX + 1], two[VERIFY_HASH_MAX + 1];
    begin();
    hash_one("p\303\244ss word", one);
    hash_one("p\303\244ss word", two);
    CHECK(strncmp(one, "$y$j9T$", 7) == 0);
    CHECK(strlen(one) == strlen(VERIFY_DUMMY));
    CHECK(strncmp(one, two, 20) != 0);
    CHECK(check_one(one, "p\303\244ss word") == VERIFY_RIGHT);
    CHECK(check_one(two, "p\303\244ss word") == VERIFY_RIGHT);
    CHECK(check_one(two, "p\303\244ss worD") == VERIFY_WRONG);
    end();
}

static void the_longest_secret_counts_to_its_last_byte(void)
{
    char secret[VERIFY_SECRET_MAX + 2], hash[VERIFY_HASH_MAX + 1];
    struct outcome outcome = {0};
    memset(secret, 'x', sizeof secret);
    secret[VERIFY_SECRET_MAX] = '\0';
    begin();
    hash_one(secret, hash);
    CHECK(check_one(hash, secret) == VERIFY_RIGHT);
    secret[VERIFY_SECRET_MAX - 1] = 'y';
    CHECK(check_one(hash, secret) == VERIFY_WRONG);
    memset(secret, 'x', sizeof secret);
    secret[VERIFY_SECRET_MAX + 1] = '\0';
    CHECK(check_one(hash, secret) == VERIFY_WRONG);
    CHECK(verify_hash(verify, &root, secret, hashed, &outcome, &outcome.order) == -EINVAL);
    end();
}

static uint64_t milliseconds_of(const char *hash)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        uint64_t start = loop_now();
        CHECK(check_one(hash, "secret") == VERIFY_WRONG);
        uint64_t took = loop_now() - start;
        best = took < best ? took : best;
    }
    return best / 1000;
}

/* Real work, and the same as for a hash that exists: a third more or less of the best of five. */
static void the_dummy_costs_what_a_hash_costs(void)
{
    char hash[VERIFY_HASH_MAX + 1];
    begin();
    hash_one("something else", hash);
    uint64_t real = milliseconds_of(hash), dummy = milliseconds_of(VERIFY_DUMMY);
    printf("# a hash %llu us, the dummy %llu us\n", (unsigned long long)real,
           (unsigned long long)dummy);
    CHECK(dummy * 4 > real && real * 4 > dummy);
    CHECK(check_one(VERIFY_DUMMY, "") == VERIFY_WRONG);
    end();
}

/* -- hostile hashes -- */

static void what_is_no_hash_matches_nothing(void)
{
    static const char *const hashes[] = {"",
                                         "*",
                                         "!",
                                         "*0",
                                         "*1",
                                         "x",
                                         "secret",
                                         "$",
                                         "$$",
                                         "$zz$secret",
                                         "$y$",
                                         "$y$j9T$",
                                         "$y$j9T$!!!!$",
                                         "$6$",
                                         "$2b$",
                                         "$2b$99$O1U6dxUkgP.B/csYZdOOe.",
                                         "$7$",
                                         "$sha1$",
                                         "_",
                                         "ab",
                                         "abcdefghijklm",
                                         "$1$:$",
                                         "\377\377\377",
                                         YESCRYPT};
    char longest[VERIFY_HASH_MAX + 3];
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
        CHECK(check_one(hashes[i], "secret") != VERIFY_RIGHT);
        CHECK(check_one(hashes[i], hashes[i]) != VERIFY_RIGHT);
        CHECK(check_one(hashes[i], "") != VERIFY_RIGHT);
    }
    memset(longest, '$', sizeof longest);
    longest[VERIFY_HASH_MAX] = '\0';
    CHECK(check_one(longest, "secret") != VERIFY_RIGHT);
    longest[VERIFY_HASH_MAX] = '$';
    longest[VERIFY_HASH_MAX + 2] = '\0';
    CHECK(check_one(longest, "secret") == VERIFY_WRONG);
    end();
}

/* Hours of work, or gigabytes: all of them at once cost what the limits say, two at a time. */
static void hostile_hashes_cost_no_more_than_the_limits(void)
{
    static const char *const hashes[] = {
        FOREVER,
        rounds,
        "$y$jFT$6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN.",
        "$y$jzT$6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN.",
        "$7$zU..../....6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN.",
        FOREVER};
    struct outcome outcome = {.ends_loop = true};
    struct verify_pair pairs[ARRAY_SIZE(hashes)];
    struct timespec cpu[2];
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
        pairs[i] = (struct verify_pair){hashes[i], "secret"};
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu[0]);
    CHECK(ask(&root, pairs, ARRAY_SIZE(hashes), &outcome) == 0);
    loop_run(loop);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu[1]);
    CHECK(outcome.count == ARRAY_SIZE(hashes));
    for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
        CHECK(outcome.results[i] != VERIFY_RIGHT);
    }
    CHECK(outcome.results[0] == VERIFY_FAILED && outcome.results[1] == VERIFY_FAILED);
    CHECK(cpu[1].tv_sec - cpu[0].tv_sec < 2); /* the work is not here */
    CHECK(check_one(QUICK, "secret") == VERIFY_RIGHT);
    end();
}

/* -- what a child is -- */

static unsigned children(pid_t *pids, unsigned most)
{
    char path[64];
    CLEANUP_FREE char *data = NULL;
    size_t length;
    unsigned n = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    if (text_read_file(AT_FDCWD, path, 4096, &data, &length) < 0) {
        return 0;
    }
    for (char *at = data, *next; n < most; at = next) {
        long pid = strtol(at, &next, 10);
        if (next == at) {
            break;
        }
        pids[n++] = (pid_t)pid;
    }
    return n;
}

static char *proc_file(pid_t pid, const char *name)
{
    char path[64];
    char *data = NULL;
    size_t length = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return text_read_file(AT_FDCWD, path, 65536, &data, &length) < 0 ? NULL : data;
}

static void has_line(const char *file, const char *line)
{
    if (file == NULL || strstr(file, line) == NULL) {
        printf("# missing: %s\n", line);
        CHECK(!"a line of proc");
    }
}

static void look_at_descriptors(pid_t pid)
{
    char path[64], target[64];
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        const char *want = fd < 3 ? "/dev/null" : fd == VERIFY_CHILD_FD ? "socket:" : "";
        CHECK(strncmp(target, want, strlen(want)) == 0 && (want[0] != '\0' || length < 0));
    }
}

static bool is_working(pid_t pid)
{
    CLEANUP_FREE char *status = proc_file(pid, "status");
    return status != NULL && strstr(status, "Seccomp:\t2") != NULL;
}

/* Runs the loop until a child of ours is at work on a hash. */
static pid_t await_child(void)
{
    pid_t pid = 0;
    for (int i = 0; i < 20000 && (children(&pid, 1) != 1 || !is_working(pid)); i++) {
        run_for(1);
    }
    return pid;
}

static void look_at_child(pid_t pid)
{
    CLEANUP_FREE char *status = proc_file(pid, "status");
    CLEANUP_FREE char *limits = proc_file(pid, "limits");
    CLEANUP_FREE char *environment = proc_file(pid, "environ");
    char ids[100];
    snprintf(ids, sizeof ids, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", CHECKER_UID,
             CHECKER_UID, CHECKER_UID, CHECKER_UID, CHECKER_UID, CHECKER_UID, CHECKER_UID,
             CHECKER_UID);
    has_line(status, ids);
    has_line(status, "Groups:\t \n");
    has_line(status, "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
                     "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
                     "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    has_line(limits, "Max cpu time              2                    2 ");
    has_line(limits, "Max file size             0                    0 ");
    has_line(limits, "Max core file size        0                    0 ");
    has_line(limits, "Max processes             0                    0 ");
    has_line(limits, "Max open files            0                    0 ");
#ifndef __SANITIZE_ADDRESS__
    has_line(limits, "Max address space         117440512            117440512 ");
#endif
    CHECK(environment != NULL && environment[0] == '\0');
    look_at_descriptors(pid);
}

static void a_child_can_do_nothing_but_its_work(void)
{
    struct outcome outcome = {0};
    const struct verify_pair pair = {FOREVER, "secret"};
    begin();
    CHECK(ask(&root, &pair, 1, &outcome) == 0);
    look_at_child(await_child());
    verify_cancel(&outcome.order);
    end();
    CHECK(outcome.place == 0);
}

/* The process is not dumpable: its own uid may not look into it, /proc belongs to root. */
static void a_child_cannot_be_looked_into(void)
{
    struct outcome outcome = {0};
    const struct verify_pair pair = {FOREVER, "secret"};
    char path[64];
    begin();
    CHECK(ask(&root, &pair, 1, &outcome) == 0);
    snprintf(path, sizeof path, "/proc/%d/mem", await_child());
    pid_t same = fork();
    if (same == 0) {
        bool well = setresgid(CHECKER_UID, CHECKER_UID, CHECKER_UID) == 0 &&
                    setresuid(CHECKER_UID, CHECKER_UID, CHECKER_UID) == 0 &&
                    open(path, O_RDONLY) < 0 && errno == EACCES;
        _exit(well ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(same, &status, 0) == same && status == 0);
    verify_cancel(&outcome.order);
    end();
}

static unsigned long cpu_ticks(pid_t pid)
{
    CLEANUP_FREE char *stat = proc_file(pid, "stat");
    unsigned long user = 0, system = 0;
    const char *at = stat != NULL ? strrchr(stat, ')') : NULL;
    if (at == NULL || sscanf(at, ") Z %*d") == 1 ||
        sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) {
        return 0;
    }
    return user + system;
}

/* Long before its own limits end it. */
static void a_child_dies_with_the_broker(void)
{
    int pipe_fds[2];
    struct timespec moment = {.tv_nsec = 5000000};
    unsigned long used = 0, now;
    pid_t child = 0;
    CHECK(pipe(pipe_fds) == 0);
    pid_t broker = fork();
    if (broker == 0) {
        struct outcome outcome = {0};
        const struct verify_pair pair = {FOREVER, "secret"};
        begin();
        ask(&root, &pair, 1, &outcome);
        pid_t pid = await_child();
        _exit(write(pipe_fds[1], &pid, sizeof pid) == sizeof pid && pause());
    }
    close(pipe_fds[1]);
    CHECK(read(pipe_fds[0], &child, sizeof child) == sizeof child);
    close(pipe_fds[0]);
    CHECK(kill(broker, SIGKILL) == 0 && waitpid(broker, NULL, 0) == broker);
    while ((now = cpu_ticks(child)) > 0) {
        used = now;
        nanosleep(&moment, NULL);
    }
    CHECK(used < (unsigned long)sysconf(_SC_CLK_TCK) * VERIFY_CPU_S * 9 / 10);
}

/* -- turns -- */

static void two_run_at_once_and_no_more(void)
{
    struct outcome outcome = {.ends_loop = true};
    struct verify_pair pairs[4];
    pid_t pids[8];
    unsigned most = 0;
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        pairs[i] = (struct verify_pair){VERIFY_DUMMY, "secret"};
    }
    CHECK(ask(&root, pairs, ARRAY_SIZE(pairs), &outcome) == 0);
    while (outcome.place == 0) {
        run_for(1);
        unsigned n = children(pids, ARRAY_SIZE(pids));
        most = n > most ? n : most;
    }
    CHECK(most == 2);
    end();
}

/* One asker has four long orders waiting; another's comes last and is answered first. */
static void askers_take_turns(void)
{
    static struct outcome longs[VERIFY_ORDERS_EACH], brief, brief_too;
    const struct verify_asker greedy = {.name = "10.0.0.1"}, modest = {.name = "10.0.0.2"};
    struct verify_pair pairs[48]; /* so many that no pause of a child lets them win */
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        pairs[i] = (struct verify_pair){QUICK, "secret"};
    }
    for (size_t i = 0; i < ARRAY_SIZE(longs); i++) {
        longs[i] = (struct outcome){0};
        CHECK(ask(&greedy, pairs, ARRAY_SIZE(pairs), &longs[i]) == 0);
    }
    brief = (struct outcome){0};
    CHECK(ask(&modest, pairs, 3, &brief) == 0);
    brief_too = (struct outcome){.ends_loop = true};
    CHECK(ask(&greedy, pairs, 1, &brief_too) == -EBUSY);
    longs[ARRAY_SIZE(longs) - 1].ends_loop = true;
    loop_run(loop);
    CHECK(brief.place == 1);
    for (size_t i = 0; i < ARRAY_SIZE(longs); i++) {
        CHECK(longs[i].count == ARRAY_SIZE(pairs));
    }
    end();
}

static void nobody_fills_the_queue(void)
{
    static struct outcome outcomes[ORDERS];
    const struct verify_pair pair = {FOREVER, "secret"};
    unsigned taken = 0;
    begin();
    memset(outcomes, 0, sizeof outcomes);
    for (unsigned i = 0; i < 60; i++) { /* fifteen users, as much as each may have */
        char name[32];
        snprintf(name, sizeof name, "10.0.0.%u", i / 4);
        taken += ask(&(struct verify_asker){.name = name}, &pair, 1, &outcomes[i]) == 0;
    }
    CHECK(taken == VERIFY_ORDERS_MAX / 4 * 3);
    for (unsigned i = 60; i < 60 + VERIFY_ORDERS_MAX / 4; i++) {
        CHECK(ask(&root, &pair, 1, &outcomes[i]) == 0);
    }
    CHECK(ask(&root, &pair, 1, &outcomes[99]) == -EBUSY);
    verify_cancel(&outcomes[0].order);
    CHECK(ask(&root, &pair, 1, &outcomes[99]) == 0);
    for (unsigned i = 0; i < ORDERS; i++) {
        verify_cancel(&outcomes[i].order);
    }
    CHECK(check_one(QUICK, "secret") == VERIFY_RIGHT); /* not behind hours of work */
    CHECK(answers == 1);
    end();
}

static void an_order_has_a_most(void)
{
    struct outcome outcome = {.ends_loop = true};
    struct verify_pair pairs[VERIFY_PAIRS_MAX + 1];
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        pairs[i] = (struct verify_pair){QUICK, i % 3 == 0 ? "secret" : "wrong"};
    }
    CHECK(ask(&root, pairs, ARRAY_SIZE(pairs), &outcome) == -E2BIG);
    CHECK(ask(&root, pairs, VERIFY_PAIRS_MAX, &outcome) == 0);
    loop_run(loop);
    CHECK(outcome.count == VERIFY_PAIRS_MAX);
    for (size_t i = 0; i < VERIFY_PAIRS_MAX; i++) {
        CHECK(outcome.results[i] == (i % 3 == 0 ? VERIFY_RIGHT : VERIFY_WRONG));
    }
    outcome = (struct outcome){.ends_loop = true};
    CHECK(ask(&root, pairs, 0, &outcome) == 0);
    loop_run(loop);
    CHECK(outcome.place > 0 && outcome.count == 0);
    end();
}

static void without_the_program_nothing_is_right(void)
{
    CHECK(loop_open(&loop) == 0);
    CHECK(verify_open(loop, "/nonexistent/cdss-verify", CHECKER_UID, &verify) == -ENOENT);
    CHECK(verify_open(loop, "/bin/true", CHECKER_UID, &verify) == 0);
    CHECK(loop_at(loop, loop_now() + LIMIT_NS, too_long, NULL, &limit) == 0);
    CHECK(check_one(QUICK, "secret") == VERIFY_FAILED);
    struct outcome outcome = {.ends_loop = true};
    CHECK(verify_hash(verify, &root, "secret", hashed, &outcome, &outcome.order) == 0);
    loop_run(loop);
    CHECK(outcome.error == -EIO && outcome.hash[0] == '\0');
    end();
}

static void a_stopping_broker_takes_no_more(void)
{
    struct outcome outcome = {0};
    const struct verify_pair pair = {FOREVER, "secret"};
    begin();
    CHECK(ask(&root, &pair, 1, &outcome) == 0);
    verify_stop(verify, no_child_left, NULL);
    CHECK(ask(&root, &pair, 1, &(struct outcome){0}) == -ESHUTDOWN);
    loop_run(loop);
    CHECK(outcome.place == 0 && outcome.order != NULL);
    verify_cancel(&outcome.order);
    end();
}

/* -- secrets -- */

/* How often it is in this process's memory. The needle itself is kept masked. */
static unsigned occurrences(const unsigned char *masked, size_t length)
{
    CLEANUP_FILE FILE *maps = fopen("/proc/self/maps", "re");
    CLEANUP_CLOSE int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    static unsigned char buffer[1 << 20];
    char line[512];
    unsigned n = 0;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long first, last;
        if (sscanf(line, "%lx-%lx rw", &first, &last) != 2 || strstr(line, " rw") == NULL ||
            last - first > 64ul << 20) {
            continue;
        }
        for (unsigned long at = first; at < last; at += sizeof buffer - length) {
            if (at <= (unsigned long)buffer && (unsigned long)buffer < at + sizeof buffer) {
                at = (unsigned long)buffer + sizeof buffer - (sizeof buffer - length);
                continue;
            }
            size_t size = last - at < sizeof buffer ? last - at : sizeof buffer;
            ssize_t got = pread(memory, buffer, size, (off_t)at);
            for (ssize_t i = 0; i + (ssize_t)length <= got; i++) {
                size_t same = 0;
                while (same < length && buffer[i + (ssize_t)same] == (masked[same] ^ 0x5a)) {
                    same++;
                }
                n += same == length;
            }
            memset(buffer, 0, sizeof buffer);
        }
    }
    return n;
}

static void secrets_are_wiped(void)
{
    unsigned char masked[24];
    char secret[sizeof masked + 1], hash[VERIFY_HASH_MAX + 1];
    begin();
    for (size_t i = 0; i < sizeof masked; i++) {
        masked[i] = (unsigned char)((33 + (i * 37 + 11) % 90) ^ 0x5a);
        secret[i] = (char)(masked[i] ^ 0x5a);
    }
    secret[sizeof masked] = '\0';
    CHECK(occurrences(masked, sizeof masked) == 1); /* the search finds it */
    hash_one(secret, hash);
    CHECK(check_one(hash, secret) == VERIFY_RIGHT);
    CHECK(check_one(FOREVER, secret) == VERIFY_FAILED);
    struct outcome outcome = {0};
    const struct verify_pair pairs[3] = {{FOREVER, secret}, {FOREVER, secret}, {FOREVER, secret}};
    CHECK(ask(&root, pairs, 3, &outcome) == 0);
    CHECK(occurrences(masked, sizeof masked) > 1); /* waiting */
    verify_cancel(&outcome.order);
    explicit_bzero(secret, sizeof secret);
    CHECK(occurrences(masked, sizeof masked) == 0);
    end();
}

TEST_MAIN(
    {"every method tells right from wrong", every_method_tells_right_from_wrong},
    {"a new hash is yescrypt with a salt of its own",
     a_new_hash_is_yescrypt_with_a_salt_of_its_own},
    {"the longest secret counts to its last byte", the_longest_secret_counts_to_its_last_byte},
    {"the dummy costs what a hash costs", the_dummy_costs_what_a_hash_costs},
    {"what is no hash matches nothing", what_is_no_hash_matches_nothing},
    {"hostile hashes cost no more than the limits", hostile_hashes_cost_no_more_than_the_limits},
    {"a child can do nothing but its work", a_child_can_do_nothing_but_its_work},
    {"a child cannot be looked into", a_child_cannot_be_looked_into},
    {"a child dies with the broker", a_child_dies_with_the_broker},
    {"two run at once and no more", two_run_at_once_and_no_more},
    {"askers take turns", askers_take_turns}, {"nobody fills the queue", nobody_fills_the_queue},
    {"an order has a most", an_order_has_a_most},
    {"without the program nothing is right", without_the_program_nothing_is_right},
    {"a stopping broker takes no more", a_stopping_broker_takes_no_more},
    {"secrets are wiped", secrets_are_wiped})
