/*
 * The broker's socket with real peers: child processes of several identities talk to it, while the
 * loop runs here. Requests are handled by this file.
 */
#include "control.h"

#include "acl.h"
#include "beneath.h"
#include "cleanup.h"
#include "client.h"
#include "messages.h"
#include "requests.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_NS 20000000000ull
#define ADMINS   61001 /* a group; the others are users */
#define MEMBER   61002
#define WEB      61003
#define STRANGER 61004

static char place[] = "/tmp/cdss-unit-control.XXXXXX";
static char run[100], path[120];
static struct broker broker;
static struct loop_timer *limit;
static struct loop_watch *peer_watch;
static struct connection *held;
static unsigned abandoned;

/* -- requests -- */

static void give_up(struct connection *connection, void *user_data)
{
    CHECK(connection == held && user_data == &held);
    held = NULL;
    abandoned++;
}

/* A thousand small messages, all at once. */
static void send_many(struct connection *connection)
{
    for (uint32_t i = 1; i <= 1000; i++) {
        connection_send(connection, MESSAGE_PROGRESS,
                        &(struct message_progress){.step = i, .steps = 1000, .text = (char[]){""}});
    }
    connection_done(connection, 0, "%s", "");
}

/* Many large ones, piece by piece: more than a queue holds. The request's body lives until then. */
static unsigned turns;
static uint32_t pieces;
static const struct message_share_extend *asked;

static void send_piece(struct connection *connection, void *user_data)
{
    static char text[1001];

    CHECK(user_data == &pieces);
    CHECK_TEXT(asked->who.user, "alice");
    turns++;
    memset(text, 'x', 1000);
    while (pieces < 50000 && !connection_full(connection)) {
        pieces++;
        connection_send(connection, MESSAGE_PROGRESS,
                        &(struct message_progress){.step = 1, .steps = 1, .text = text});
    }
    if (pieces < 50000) {
        connection_go_on(connection, send_piece);
    } else {
        connection_done(connection, 0, "%s", "");
    }
}

static void pieces_abandoned(struct connection *connection, void *user_data)
{
    (void)connection;
    CHECK(user_data == &pieces);
    CHECK_TEXT(asked->who.user, "alice");
    abandoned++;
}

static void send_pieces(struct connection *connection, const void *body)
{
    asked = body;
    turns = 0;
    pieces = 0;
    connection_later(connection, pieces_abandoned, &pieces);
    send_piece(connection, &pieces);
}

/* More than the queue of a peer may hold. */
static void send_too_much(struct connection *connection)
{
    static char text[1001];

    memset(text, 'x', 1000);
    for (uint32_t i = 0; i < 50000; i++) {
        connection_send(connection, MESSAGE_PROGRESS,
                        &(struct message_progress){.step = 1, .steps = 1, .text = text});
    }
    connection_done(connection, 0, "%s", "");
}

int request_handle(struct broker *b, struct connection *connection,
                   const struct wire_message *message)
{
    CHECK(b == &broker);
    switch (message->id) {
    case MESSAGE_STATUS:
        connection_done(connection, 3, "role %u", (unsigned)connection_peer(connection)->role);
        return 0;
    case MESSAGE_REAP:
        held = connection;
        connection_later(connection, give_up, &held);
        return 0;
    case MESSAGE_SHARE_LIST:
        send_many(connection);
        return 0;
    case MESSAGE_SHARE_SHOW:
        send_too_much(connection);
        return 0;
    case MESSAGE_SHARE_EXTEND:
        send_pieces(connection, message->body);
        return 0;
    case MESSAGE_SHARE_REMOVE: /* an answer that cannot be encoded */
        connection_send(connection, MESSAGE_PROGRESS, &(struct message_progress){.step = 0});
        connection_done(connection, 0, "%s", "");
        return 0;
    default:
        return -EACCES;
    }
}

/* -- peers -- */

static int ask(int fd, uint16_t id)
{
    struct message_share_user user = {.who.user = (char[]){"alice"}};

    return client_send(fd, id,
                       id == MESSAGE_SHARE_SHOW || id == MESSAGE_SHARE_REMOVE ? &user : NULL, NULL);
}

/* The last message of the answer: its id, or a negative errno. */
static int final_answer(int fd, char *sentence, size_t size, unsigned *ret_others)
{
    for (*ret_others = 0;; ++*ret_others) {
        CLEANUP_MESSAGE struct wire_message message = {0};
        int r = client_receive(fd, 10000, &message);
        if (r < 0) {
            return r;
        }
        if (message.id == MESSAGE_DONE) {
            snprintf(sentence, size, "%s", ((struct message_done *)message.body)->sentence);
            return MESSAGE_DONE;
        }
        if (message.id == MESSAGE_REFUSED) {
            snprintf(sentence, size, "%s", ((struct message_refused *)message.body)->sentence);
            return MESSAGE_REFUSED;
        }
    }
}

static bool status_says(int fd, const char *want)
{
    char sentence[1001] = "";
    unsigned others;

    return ask(fd, MESSAGE_STATUS) == 0 &&
           final_answer(fd, sentence, sizeof sentence, &others) == MESSAGE_DONE &&
           strcmp(sentence, want) == 0;
}

static void peer_gone(uint32_t events, void *user_data)
{
    (void)events;
    (void)user_data;
    loop_stop(broker.loop);
}

static void too_long(void *user_data)
{
    (void)user_data;
    limit = NULL;
    CHECK(!"the peer ended in time");
    loop_stop(broker.loop);
}

static int open_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 1200; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

static void become(uid_t uid)
{
    gid_t groups[2] = {61009, ADMINS};

    if (uid != 0 &&
        (setgroups(uid == MEMBER ? 2 : 1, groups) < 0 || setgid(61008) < 0 || setuid(uid) < 0)) {
        _exit(100);
    }
}

/* Runs the loop until a peer of this uid has done its part. What it returns is 0, or its line. */
static void talk(uid_t uid, int (*part)(void))
{
    int status = 0;
    int before = open_descriptors();

    held = NULL;
    CHECK(loop_open(&broker.loop) == 0);
    CHECK(control_open(&broker, &broker.control) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        become(uid);
        _exit(part());
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK(loop_at(broker.loop, loop_now() + LIMIT_NS, too_long, NULL, &limit) == 0);
    CHECK(loop_watch(broker.loop, pidfd, EPOLLIN, peer_gone, NULL, &peer_watch) == 0);
    CHECK(loop_run(broker.loop) == 0);
    if (limit == NULL) {
        kill(pid, SIGKILL);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("# the peer (uid %u) ended with %#x, a line number?\n", uid, (unsigned)status);
        CHECK(!"the peer is content");
    }
    loop_cancel(&limit);
    loop_unwatch(&peer_watch);
    control_close(broker.control);
    loop_close(broker.loop);
    close(pidfd);
    CHECK(open_descriptors() == before);
    CHECK(faccessat(AT_FDCWD, path, F_OK, 0) < 0 && errno == ENOENT);
}

/* In a peer: the line that went wrong is its exit status (kept below 100). */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "# peer, %s:%d: %s\n", __FILE__, __LINE__, #condition);                \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static void set_up(void)
{
    CHECK(mkdtemp(place) != NULL);
    CHECK(chmod(place, 0755) == 0);
    snprintf(run, sizeof run, "%s/run", place);
    CHECK(mkdir(run, 0700) == 0 && chmod(run, 0750) == 0 && chown(run, 0, ADMINS) == 0);
    snprintf(path, sizeof path, "%s/broker.sock", run);
    snprintf(broker.settings.socket, sizeof broker.settings.socket, "%s", path);
    broker.peers =
        (struct peer_rules){.admin_group = ADMINS, .web_users = {61005, WEB}, .n_web_users = 2};
    CHECK(acl_let_in(run, broker.peers.web_users, 2, ACL_MAY_ENTER) == 0);
}

static void tear_down(void)
{
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(beneath_remove(tmp, place + strlen("/tmp/"), 100) == 0);
    close(tmp);
}

/* -- who may speak -- */

static int as_administrator(void)
{
    CLEANUP_CLOSE int fd = client_connect(path);

    MUST(fd >= 0);
    MUST(status_says(fd, "role 2"));
    MUST(status_says(fd, "role 2")); /* and again on the same connection */
    return 0;
}

static int as_web(void)
{
    struct stat status;
    CLEANUP_CLOSE int fd = client_connect(path);

    MUST(fd >= 0);
    MUST(status_says(fd, "role 1"));
    MUST(open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES);
    MUST(stat(path, &status) == 0 && (status.st_mode & 0777) == 0660);
    MUST(unlink(path) < 0 && errno == EACCES);
    return 0;
}

static int as_stranger(void)
{
    MUST(client_connect(path) == -EACCES);
    return 0;
}

static void identities(void)
{
    talk(0, as_administrator);
    talk(MEMBER, as_administrator);
    talk(WEB, as_web);
    talk(STRANGER, as_stranger);
}

/* Let in by mistake (somebody opened the modes), he is turned away by who he is. */
static int with_open_doors(void)
{
    char sentence[1001] = "";
    unsigned others;
    CLEANUP_CLOSE int fd = -1;

    for (int i = 0; i < 500 && (fd = client_connect(path)) < 0; i++) {
        usleep(10000);
    }
    MUST(fd >= 0);
    MUST(ask(fd, MESSAGE_STATUS) == 0);
    MUST(final_answer(fd, sentence, sizeof sentence, &others) == MESSAGE_REFUSED);
    MUST(strstr(sentence, "not allowed") != NULL);
    MUST(client_receive(fd, 5000, &(struct wire_message){0}) == -ECONNRESET);
    return 0;
}

static void a_stranger_behind_open_doors(void)
{
    /* A chmod(2) of the group's bits would change the list's mask: of the others' it does not. */
    mode_t before = umask(0);
    CHECK(chmod(run, 0755) == 0);
    struct stat status;
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 1000 && stat(path, &status) < 0; i++) {
            usleep(5000);
        }
        usleep(20000);
        _exit(chmod(path, 0666) < 0);
    }
    talk(STRANGER, with_open_doors);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(chmod(run, 0750) == 0);
    umask(before);
}

static int as_many(void)
{
    static int fds[64];
    char sentence[1001] = "";
    unsigned others;

    for (int i = 0; i < 64; i++) {
        fds[i] = client_connect(path);
        MUST(fds[i] >= 0 && status_says(fds[i], "role 1"));
    }
    CLEANUP_CLOSE int one_more = client_connect(path);
    MUST(final_answer(one_more, sentence, sizeof sentence, &others) == MESSAGE_REFUSED);
    MUST(strstr(sentence, "too many") != NULL);
    close(fds[7]);
    for (int i = 0; i < 100; i++) { /* as soon as the broker has seen it */
        CLEANUP_CLOSE int fd = client_connect(path);
        if (status_says(fd, "role 1")) {
            return 0;
        }
        usleep(10000);
    }
    return 1;
}

static void too_many_connections(void)
{
    talk(WEB, as_many);
}

/* -- answers -- */

static int a_reader(void)
{
    char sentence[1001];
    unsigned others;
    CLEANUP_CLOSE int fd = client_connect(path);

    MUST(ask(fd, MESSAGE_SHARE_LIST) == 0);
    usleep(100000); /* the socket is full long before it is read */
    MUST(final_answer(fd, sentence, sizeof sentence, &others) == MESSAGE_DONE);
    MUST(others == 1000);
    MUST(status_says(fd, "role 2"));
    return 0;
}

static void a_long_answer_is_whole(void)
{
    talk(0, a_reader);
}

static int ask_for_pieces(int fd)
{
    struct message_share_extend body = {.who.user = (char[]){"alice"}, .seconds = 1};

    return client_send(fd, MESSAGE_SHARE_EXTEND, &body, NULL);
}

static int a_slow_reader(void)
{
    char sentence[1001];
    unsigned others;
    CLEANUP_CLOSE int fd = client_connect(path);
    CLEANUP_CLOSE int other = client_connect(path);

    MUST(ask_for_pieces(fd) == 0);
    MUST(status_says(other, "role 2")); /* the loop is free */
    MUST(final_answer(fd, sentence, sizeof sentence, &others) == MESSAGE_DONE);
    MUST(others == 50000);
    MUST(status_says(fd, "role 2"));
    return 0;
}

static int a_reader_that_leaves(void)
{
    CLEANUP_CLOSE int fd = client_connect(path);
    CLEANUP_CLOSE int other = client_connect(path);
    CLEANUP_MESSAGE struct wire_message message = {0};

    MUST(ask_for_pieces(fd) == 0);
    MUST(client_receive(fd, 5000, &message) == 0);
    close(TAKE_FD(fd));
    MUST(status_says(other, "role 2"));
    return 0;
}

static void an_answer_in_pieces(void)
{
    abandoned = 0;
    talk(0, a_slow_reader);
    CHECK(turns > 10 && pieces == 50000 && abandoned == 0);
    talk(0, a_reader_that_leaves);
    CHECK(pieces < 50000 && abandoned == 1);
}

/* It loses its connection at once, not after the time for idle ones. */
static int no_reader(void)
{
    CLEANUP_CLOSE int other = client_connect(path);
    CLEANUP_CLOSE int fd = client_connect(path);
    struct pollfd hangup = {.fd = fd, .events = POLLRDHUP};

    MUST(ask(fd, MESSAGE_SHARE_SHOW) == 0);
    MUST(poll(&hangup, 1, 10000) == 1);
    MUST(status_says(other, "role 2"));
    return 0;
}

static void an_answer_that_is_never_read(void)
{
    talk(0, no_reader);
}

static int a_puzzled_peer(void)
{
    char sentence[1001];
    unsigned others;
    CLEANUP_CLOSE int fd = client_connect(path);

    MUST(ask(fd, MESSAGE_SHARE_REMOVE) == 0);
    MUST(final_answer(fd, sentence, sizeof sentence, &others) == -ECONNRESET);
    return 0;
}

static void an_answer_that_cannot_be_encoded(void)
{
    talk(0, a_puzzled_peer);
}

/* -- hanging up -- */

static int hangs_up(void)
{
    CLEANUP_CLOSE int other = client_connect(path);
    CLEANUP_CLOSE int fd = client_connect(path);

    MUST(ask(fd, MESSAGE_REAP) == 0);
    MUST(status_says(other, "role 2"));
    MUST(ask(fd, MESSAGE_STATUS) == 0); /* not read before the first is answered */
    MUST(status_says(other, "role 2"));
    close(TAKE_FD(fd));
    MUST(status_says(other, "role 2"));
    return 0;
}

static void a_peer_that_waits_hangs_up(void)
{
    abandoned = 0;
    talk(0, hangs_up);
    CHECK(abandoned == 1 && held == NULL);
}

static int waits_for_ever(void)
{
    CLEANUP_CLOSE int fd = client_connect(path);
    CLEANUP_CLOSE int other = client_connect(path);

    MUST(ask(fd, MESSAGE_REAP) == 0);
    MUST(status_says(other, "role 2"));
    return 0;
}

static void the_broker_ends_first(void)
{
    abandoned = 0;
    talk(0, waits_for_ever);
    CHECK(abandoned == 1);
}

/* -- what is no request -- */

static int sends_nonsense(void)
{
    static const char *const packets[] = {"x", "\xcd\x55\x00\x01\x00\x09\x00",
                                          "GET / HTTP/1.1\r\n"};
    CLEANUP_CLOSE int other = client_connect(path);

    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        CLEANUP_CLOSE int fd = client_connect(path);
        char byte;
        MUST(send(fd, packets[i], 16 < strlen(packets[i]) ? 16 : strlen(packets[i]) + 1,
                  MSG_NOSIGNAL) > 0);
        MUST(recv(fd, &byte, 1, 0) <= 0);
        MUST(status_says(other, "role 2"));
    }
    CLEANUP_CLOSE int fd = client_connect(path);
    struct message_image_list list = {.pattern = (char[]){""}};
    MUST(client_send(fd, MESSAGE_IMAGE_LIST, &list, NULL) == 0); /* refused by the handler */
    MUST(client_receive(fd, 5000, &(struct wire_message){0}) == -ECONNRESET);
    MUST(status_says(other, "role 2"));
    return 0;
}

static void nonsense_costs_its_sender_alone(void)
{
    talk(0, sends_nonsense);
}

/* -- the socket itself -- */

static void a_stale_socket_is_replaced(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, strlen(path) + 1);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
    talk(0, as_administrator);
}

static void a_place_that_cannot_be(void)
{
    struct broker other = {.peers = broker.peers};
    struct control *control = NULL;
    int before = open_descriptors();

    CHECK(loop_open(&other.loop) == 0);
    snprintf(other.settings.socket, sizeof other.settings.socket, "%s/no/socket", place);
    CHECK(control_open(&other, &control) == -ENOENT);
    memset(other.settings.socket, 'x', 108);
    CHECK(control_open(&other, &control) == -ENAMETOOLONG);
    loop_close(other.loop);
    CHECK(control == NULL && open_descriptors() == before);
}

static void lists_come_and_go(void)
{
    const uid_t users[] = {WEB};
    struct stat status;
    char name[140];

    snprintf(name, sizeof name, "%s/file", place);
    close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    CHECK(acl_let_in(name, users, 1, ACL_MAY_CONNECT) == 0);
    CHECK(stat(name, &status) == 0 && (status.st_mode & 0777) == 0660); /* the mask */
    CHECK(acl_let_in(name, users, 0, ACL_MAY_CONNECT) == 0);
    CHECK(acl_let_in(name, users, 0, ACL_MAY_CONNECT) == 0); /* nothing to take away */
    CHECK(acl_let_in("/proc/self/no", users, 1, 1) == -ENOENT);
    CHECK(acl_let_in("/proc/version", users, 1, 1) == -EOPNOTSUPP);
}

TEST_MAIN({"set up", set_up}, {"who may speak", identities},
          {"a stranger behind open doors is turned away", a_stranger_behind_open_doors},
          {"too many connections", too_many_connections},
          {"a long answer is whole", a_long_answer_is_whole},
          {"an answer in pieces", an_answer_in_pieces},
          {"an answer that is never read", an_answer_that_is_never_read},
          {"an answer that cannot be encoded", an_answer_that_cannot_be_encoded},
          {"a peer that waits hangs up", a_peer_that_waits_hangs_up},
          {"the broker ends first", the_broker_ends_first},
          {"nonsense costs its sender alone", nonsense_costs_its_sender_alone},
          {"a stale socket is replaced", a_stale_socket_is_replaced},
          {"a place that cannot be", a_place_that_cannot_be},
          {"access control lists come and go", lists_come_and_go}, {"nothing is left", tear_down})
