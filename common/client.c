/*
 * client.h over a blocking SOCK_SEQPACKET socket (unix(7)): one send(2) is one message. Both ways
 * the bytes are wiped behind use, for a request holds passwords and an answer may.
 */
#include "client.h"

#include "cleanup.h"
#include "messages.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#define SEND_TIMEOUT 10 /* s, to connect to or send to a broker that does not read */

static int set_options(int fd)
{
    const int size = WIRE_PACKET_MAX;
    const struct timeval timeout = {.tv_sec = SEND_TIMEOUT};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) {
        return -errno;
    }
    return 0;
}

int client_connect(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error = text_copy(address.sun_path, sizeof address.sun_path, socket_path);
    if (error != 0) {
        return error;
    }
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    error = set_options(fd);
    if (error != 0) {
        return error;
    }
    do {
        error = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : -errno;
    } while (error == -EINTR);
    if (error != 0) {
        return error == -EAGAIN ? -ETIMEDOUT : error;
    }
    return TAKE_FD(fd);
}

int client_send(int fd, uint16_t id, const void *body, const char **ret_field)
{
    CLEANUP_TEXT struct text packet = {0};
    int error = wire_encode(id, body, &packet, ret_field);
    if (error != 0) {
        return error;
    }
    do {
        error = send(fd, packet.data, packet.length, MSG_NOSIGNAL) >= 0 ? 0 : -errno;
    } while (error == -EINTR);
    explicit_bzero(packet.data, packet.length);
    if (error == -EPIPE || error == -ECONNRESET) {
        return 0; /* client_receive() gives the broker's last words, or this error */
    }
    return error == -EAGAIN ? -ETIMEDOUT : error;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until `deadline` (-1: for ever) for something to read. */
static int wait_readable(int fd, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        if (deadline >= 0 && left < 0) {
            left = 0;
        }
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int ready = poll(&waiting, 1, (int)left);
        if (ready > 0) {
            return 0;
        }
        if (ready == 0) {
            return -ETIMEDOUT;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

/* The length of the packet, which may be more than was copied; 0 when the broker hung up. When it
 * did so before it read all of ours, the socket says ECONNRESET once, and only then what was sent
 * before. */
static ssize_t receive_packet(int fd, int64_t deadline, char *packet, size_t size)
{
    for (bool was_reset = false;;) {
        int error = wait_readable(fd, deadline);
        if (error != 0) {
            return error;
        }
        ssize_t length = recv(fd, packet, size, MSG_TRUNC | MSG_DONTWAIT);
        if (length >= 0) {
            return length;
        }
        if (errno == ECONNRESET && !was_reset) {
            was_reset = true;
        } else if (errno != EINTR && errno != EAGAIN) {
            return -errno;
        }
    }
}

int client_receive(int fd, int timeout_ms, struct wire_message *ret)
{
    CLEANUP_FREE char *packet = malloc(WIRE_PACKET_MAX);
    if (packet == NULL) {
        return -ENOMEM;
    }
    int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    ssize_t length = receive_packet(fd, deadline, packet, WIRE_PACKET_MAX);
    if (length <= 0) {
        return length == 0 ? -ECONNRESET : (int)length;
    }
    int error = wire_decode(packet, (size_t)length, ret);
    explicit_bzero(packet, (size_t)length < WIRE_PACKET_MAX ? (size_t)length : WIRE_PACKET_MAX);
    return error;
}
