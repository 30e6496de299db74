/* The client against a small broker of the test's own: a child that does one thing and ends. */
#include "test.h"

#include "cleanup.h"
#include "client.h"
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static char directory[] = "/tmp/cdss-client-XXXXXX";
static char path[64];

static int listen_at(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    text_copy(address.sun_path, sizeof address.sun_path, path);
    unlink(path);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
    return fd;
}

static void send_done(int fd, const char *sentence)
{
    CLEANUP_TEXT struct text packet = {0};
    struct message_done done = {.sentence = strdup(sentence)};
    wire_encode(MESSAGE_DONE, &done, &packet, NULL);
    free(done.sentence);
    (void)!send(fd, packet.data, packet.length, MSG_NOSIGNAL);
}

/* Forks a broker that takes one connection; `serve` has it. Returns the client's end. */
static int with_broker(void (*serve)(int fd), pid_t *ret_child)
{
    CLEANUP_CLOSE int listener = listen_at();
    *ret_child = fork();
    if (*ret_child == 0) {
        alarm(20);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        serve(fd);
        _exit(0);
    }
    return client_connect(path);
}

static void reap(pid_t child)
{
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void not_there(void)
{
    unlink(path);
    CHECK(client_connect(path) == -ENOENT);
    close(listen_at());
    CHECK(client_connect(path) == -ECONNREFUSED);
    CLEANUP_TEXT struct text longer = {0};
    for (int i = 0; i < 20; i++) {
        text_add(&longer, "/too-long");
    }
    CHECK(client_connect(longer.data) == -ENAMETOOLONG);
}

static void serve_echo(int fd)
{
    struct wire_message message = {0};
    if (client_receive(fd, 10000, &message) == 0) {
        const struct message_image_list *request = message.body;
        send_done(fd, request->pattern);
        wire_free(&message);
    }
}

static void there_and_back(void)
{
    pid_t child;
    CLEANUP_CLOSE int fd = with_broker(serve_echo, &child);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    struct message_image_list request = {.pattern = (char[]){"*.iso"}};
    CHECK(client_send(fd, MESSAGE_IMAGE_LIST, &request, NULL) == 0);
    CLEANUP_MESSAGE struct wire_message answer = {0};
    CHECK(client_receive(fd, 10000, &answer) == 0 && answer.id == MESSAGE_DONE);
    if (answer.id == MESSAGE_DONE) {
        CHECK_TEXT(((struct message_done *)answer.body)->sentence, "*.iso");
    }
    reap(child);
    struct wire_message none = {0};
    CHECK(client_receive(fd, 10000, &none) == -ECONNRESET);
}

static void serve_count(int fd)
{
    static char packet[WIRE_PACKET_MAX];
    char sentence[32];
    snprintf(sentence, sizeof sentence, "%zd", recv(fd, packet, sizeof packet, 0));
    send_done(fd, sentence);
}

/* As long as a request can be. */
static void long_request(void)
{
    pid_t child;
    CLEANUP_CLOSE int fd = with_broker(serve_count, &child);
    char path_of_image[1024], client[50], *images[64], *clients[64], *protocols[] = {client + 40};
    memset(path_of_image, 'x', sizeof path_of_image - 1);
    path_of_image[sizeof path_of_image - 1] = '\0';
    memset(client, '1', sizeof client - 1);
    client[sizeof client - 1] = '\0';
    for (int i = 0; i < 64; i++) {
        images[i] = path_of_image;
        clients[i] = client;
    }
    struct message_share_create request = {.user = (char[]){"alice"},
                                           .images = {images, 64},
                                           .clients = {clients, 64},
                                           .protocols = {protocols, 1}};
    CHECK(client_send(fd, MESSAGE_SHARE_CREATE, &request, NULL) == 0);
    CLEANUP_MESSAGE struct wire_message answer = {0};
    CHECK(client_receive(fd, 10000, &answer) == 0);
    if (answer.id == MESSAGE_DONE) {
        CHECK_TEXT(((struct message_done *)answer.body)->sentence, "69178");
    }
    reap(child);
}

static void serve_oversized(int fd)
{
    static char packet[WIRE_PACKET_MAX + 1] = "\xcd\x55\x00\x01\x00\x09";
    int size = 2 * WIRE_PACKET_MAX;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    (void)!send(fd, packet, sizeof packet, MSG_NOSIGNAL);
    send_done(fd, "after");
}

static void oversized(void)
{
    pid_t child;
    CLEANUP_CLOSE int fd = with_broker(serve_oversized, &child);
    CLEANUP_MESSAGE struct wire_message answer = {0};
    CHECK(client_receive(fd, 10000, &answer) == -EPROTO);
    CHECK(client_receive(fd, 10000, &answer) == 0 && answer.id == MESSAGE_DONE);
    reap(child);
}

static void serve_silence(int fd)
{
    char byte;
    (void)!recv(fd, &byte, 1, 0);
}

static void silence(void)
{
    pid_t child;
    int fd = with_broker(serve_silence, &child);
    CLEANUP_MESSAGE struct wire_message answer = {0};
    CHECK(client_receive(fd, 50, &answer) == -ETIMEDOUT);
    CHECK(client_receive(fd, 0, &answer) == -ETIMEDOUT);
    close(fd);
    reap(child);
}

static void serve_refusal(int fd)
{
    usleep(100000); /* the request is there, and stays unread */
    send_done(fd, "go away");
    close(fd);
}

/* The broker has hung up before, between or after these requests. */
static void check_last_words(int before, int after)
{
    pid_t child;
    CLEANUP_CLOSE int fd = with_broker(serve_refusal, &child);
    for (int i = 0; i < before; i++) {
        CHECK(client_send(fd, MESSAGE_STATUS, NULL, NULL) == 0);
    }
    reap(child);
    for (int i = 0; i < after; i++) {
        CHECK(client_send(fd, MESSAGE_STATUS, NULL, NULL) == 0);
    }
    CLEANUP_MESSAGE struct wire_message answer = {0}, none = {0};
    CHECK(client_receive(fd, 10000, &answer) == 0 && answer.id == MESSAGE_DONE);
    CHECK(client_receive(fd, 10000, &none) == -ECONNRESET);
}

static void last_words(void)
{
    check_last_words(1, 0);
    check_last_words(0, 1);
    check_last_words(1, 1);
    check_last_words(2, 2);
}

static void begin(void)
{
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/socket", directory);
}

static void end(void)
{
    unlink(path);
    CHECK(rmdir(directory) == 0);
}

TEST_MAIN({"(a directory)", begin}, {"no broker", not_there}, {"there and back", there_and_back},
          {"the longest request", long_request}, {"an answer that is too long", oversized},
          {"a broker that says nothing", silence},
          {"a broker that hangs up says why first", last_words}, {"(no directory)", end})
