/*
 * A table with many users, and a server for one of them: bench_rules USERS ADDRESS
 *
 * Installs the rules of USERS shares in the network namespace that it runs in. ADDRESS is the
 * client of the last one, whose instance accepts connections and closes them. With USERS 0 there
 * are no rules, and it accepts on port 8080. Says "ready"; ends, and takes the table away, when
 * standard input does.
 */
#include "bench.h"
#include "firewall.h"
#include "parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <unistd.h>

#define MARK      0x5e000000u
#define UID_FIRST 2050000000u
#define PORT      21001
#define PORT_FREE 30000 /* 2 for each of the others, from here on, as far as they reach */

struct user {
    struct prefix client;
    struct firewall_service service;
};

static void make_user(struct user *user, struct firewall_share *share, uint32_t n)
{
    *user = (struct user){.client = {.address = {.family = AF_INET,
                                                 .bytes = {10, 100, (uint8_t)(n >> 8), (uint8_t)n}},
                                     .length = 32},
                          .service = {.transport = IPPROTO_TCP,
                                      .public_port = 8080,
                                      .instance_port = (uint16_t)(PORT_FREE + n),
                                      .name = "http"}};
    *share = (struct firewall_share){.mark = MARK + n,
                                     .uid_first = UID_FIRST + 4 * n,
                                     .uid_count = 4,
                                     .clients = &user->client,
                                     .n_clients = 1,
                                     .services = &user->service,
                                     .n_services = 1,
                                     .timeout_ms = 3600000};
    snprintf(share->id, sizeof share->id, "%x", n);
}

static int listen_on(uint16_t port, uid_t uid)
{
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    setfsuid(uid); /* a socket belongs to who makes it, and the rules look at that */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setfsuid(0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 1024) < 0) {
        bench_die("listen");
    }
    return fd;
}

static struct firewall *install(uint32_t count, const char *client)
{
    const struct firewall_settings settings = {.mark_prefix = MARK >> 24,
                                               .passive = {60000, 60100},
                                               .uid_first = UID_FIRST,
                                               .uid_last = UID_FIRST + 4 * count + 3};
    struct user *users = calloc(count, sizeof *users);
    struct firewall_share *shares = calloc(count, sizeof *shares);
    struct firewall *firewall;

    if (users == NULL || shares == NULL) {
        bench_die("memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        make_user(&users[i], &shares[i], i + 1);
    }
    users[count - 1].service.instance_port = PORT;
    if (parse_prefix(client, strlen(client), &users[count - 1].client, NULL) != 0) {
        bench_die(client);
    }
    errno = -firewall_open(&settings, &firewall);
    errno = errno == 0 ? -firewall_install(firewall, shares, count) : errno;
    if (errno != 0) {
        bench_die("the rules");
    }
    free(users);
    free(shares);
    return firewall;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "Usage: bench_rules USERS ADDRESS\n");
        return 2;
    }
    uint32_t count = (uint32_t)strtoul(argv[1], NULL, 10);
    struct firewall *firewall = count > 0 ? install(count, argv[2]) : NULL;
    int listener = count > 0 ? listen_on(PORT, UID_FIRST + 4 * count + 2) : listen_on(8080, 0);
    struct pollfd wait[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = listener, .events = POLLIN}};

    printf("ready\n");
    fflush(stdout);
    while (poll(wait, 2, -1) >= 0 && wait[0].revents == 0) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            close(fd);
        }
    }
    if (firewall != NULL) {
        firewall_uninstall(firewall);
        firewall_close(firewall);
    }
    return 0;
}
