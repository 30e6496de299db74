#include "answer.h"

#include "cleanup.h"
#include "expand.h"
#include "log.h"
#include "messages.h"
#include "parse.h"
#include "supervision.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define PORTS_SIZE 128
#define STATE_SIZE 160
#define LINES_MAX  1024

/* What the packet needs besides texts whose length is known: at most this for an image and a line
 * (numbers, lengths, type, protocol, label), and for clients, protocols and the rest together. */
#define IMAGE_OVERHEAD 48
#define LINE_OVERHEAD  112
#define REST_OVERHEAD  11000
#define PLAIN_ROOM     8192 /* of what is left, for lines that name no image: they are worth most */

/* Everything that the message points to, freed together. */
struct answer {
    struct message_share message;
    char client_texts[MESSAGE_CLIENTS_MAX][PREFIX_TEXT_SIZE];
    char *clients[MESSAGE_CLIENTS_MAX];
    struct message_share_image images[MESSAGE_IMAGES_MAX];
    struct message_share_protocol protocols[SUPERVISOR_SERVICES_MAX];
    char ports[SUPERVISOR_SERVICES_MAX][PORTS_SIZE];
    char states[SUPERVISOR_SERVICES_MAX][STATE_SIZE];
    struct message_share_line lines[LINES_MAX];
    size_t room, plain_room; /* bytes that the packet still has for lines, and for plain ones */
    char address[ADDRESS_TEXT_SIZE];
    char host[ADDRESS_TEXT_SIZE + 2]; /* as in a URL */
};

/*
 * The address by which a client would call this host: the source address of the route to it
 * (connect(2) on a datagram socket sends nothing).
 */
static int source_towards(struct address client, struct address *ret)
{
    struct sockaddr_storage there, here;
    socklen_t size = sizeof here;
    uint16_t port;
    CLEANUP_CLOSE int fd = socket(client.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = address_to_sockaddr(&client, 9, &there);

    if (fd < 0 || connect(fd, (struct sockaddr *)&there, length) < 0 ||
        getsockname(fd, (struct sockaddr *)&here, &size) < 0) {
        return -errno;
    }
    return address_from_sockaddr((struct sockaddr *)&here, ret, &port);
}

/* Without a route: the host's first address of that family that is not loopback or link-local. */
static int first_own(sa_family_t family, struct address *ret)
{
    struct ifaddrs *all = NULL;
    char text[ADDRESS_TEXT_SIZE];
    struct prefix own;
    uint16_t port;
    int r = -EADDRNOTAVAIL;

    if (getifaddrs(&all) < 0) {
        return -errno;
    }
    for (const struct ifaddrs *one = all; r < 0 && one != NULL; one = one->ifa_next) {
        if (one->ifa_addr == NULL || one->ifa_addr->sa_family != family ||
            address_from_sockaddr(one->ifa_addr, &own.address, &port) < 0) {
            continue;
        }
        address_format(&own.address, text);
        if (parse_client(text, strlen(text), &own, NULL) == 0) {
            *ret = own.address;
            r = 0;
        }
    }
    freeifaddrs(all);
    return r;
}

/* As the first client would name this host; its own name where it has no address at all. */
static void find_host(const struct share *share, struct answer *answer)
{
    struct address address = {.family = AF_INET};
    struct address client = share->row.clients[0].address;

    if (!prefix_is_host(&share->row.clients[0])) {
        client.bytes[address_size(&client) - 1] |= 1; /* some host of the network */
    }
    if (source_towards(client, &address) < 0 && first_own(client.family, &address) < 0) {
        gethostname(answer->address, sizeof answer->address - 1);
        gethostname(answer->host, sizeof answer->host - 1);
        return;
    }
    address_format(&address, answer->address);
    snprintf(answer->host, sizeof answer->host, address.family == AF_INET6 ? "[%s]" : "%s",
             answer->address);
}

static void fill_clients(const struct share *share, struct answer *answer)
{
    uint32_t n = share->row.n_clients;

    for (uint32_t i = 0; i < n && i < MESSAGE_CLIENTS_MAX; i++) {
        prefix_format(&share->row.clients[i], answer->client_texts[i]);
        answer->clients[i] = answer->client_texts[i];
        answer->message.clients.count = i + 1;
    }
    answer->message.clients.items = answer->clients;
}

static void fill_images(const struct share *share, struct answer *answer)
{
    answer->room = WIRE_PACKET_MAX - REST_OVERHEAD;
    for (uint32_t i = 0; i < share->row.n_images && i < MESSAGE_IMAGES_MAX; i++) {
        struct registry_image *image = &share->row.images[i];
        size_t size = strlen(image->path.text) + strlen(image->contents) + strlen(image->note) +
                      IMAGE_OVERHEAD;
        answer->room -= size < answer->room ? size : answer->room;
        bool known = image->type[0] != '\0'; /* not yet looked at while it is prepared */
        answer->images[i] = (struct message_share_image){
            .path = image->path.text,
            .type = known ? image->type : (char *)(uintptr_t) "raw",
            .size = image->size,
            .contents = image->contents,
            .note = image->note,
        };
        answer->message.images.count = i + 1;
    }
    answer->message.images.items = answer->images;
}

static void describe_ports(const struct broker *broker, const struct definition *definition,
                           char text[PORTS_SIZE])
{
    size_t used = 0;

    for (uint32_t i = 0; i < definition->n_ports && used < PORTS_SIZE; i++) {
        used += (size_t)snprintf(text + used, PORTS_SIZE - used, "%s%s/%u", i > 0 ? " " : "",
                                 definition->ports[i].transport == IPPROTO_TCP ? "tcp" : "udp",
                                 share_public_port(broker, definition, i));
    }
}

/* Numbers only: what the sandbox says is not repeated as text. */
static void describe_state(const struct share *share,
                           const struct supervisor_service_status *status, char text[STATE_SIZE])
{
    if (share->state == SHARE_PREPARING) {
        snprintf(text, STATE_SIZE, "preparing");
    } else if (share->state == SHARE_ENDING) {
        snprintf(text, STATE_SIZE, "ending");
    } else if (status == NULL || status->failures == 0) {
        snprintf(text, STATE_SIZE, "ready");
    } else {
        snprintf(text, STATE_SIZE, "its server failed %u times in a row; it is tried again",
                 status->failures);
    }
}

static void fill_protocols(const struct share *share, struct answer *answer)
{
    struct supervisor_status status = {0};
    bool known = supervision_status(share->status_fd, &status) == 0;

    for (uint32_t i = 0; i < share->row.n_protocols && i < SUPERVISOR_SERVICES_MAX; i++) {
        const struct definition *definition =
            definitions_find(share->broker->definitions, share->row.protocols[i].name.text);
        const struct supervisor_service_status *service = known ? &status.services[i] : NULL;
        if (definition != NULL) {
            describe_ports(share->broker, definition, answer->ports[i]);
        }
        describe_state(share, service, answer->states[i]);
        answer->protocols[i] = (struct message_share_protocol){
            .name = share->row.protocols[i].name.text,
            .title = definition != NULL ? (char *)(uintptr_t)definition->title
                                        : share->row.protocols[i].name.text,
            .ports = answer->ports[i],
            .state = answer->states[i],
            .connections = service != NULL ? service->started : 0,
        };
        answer->message.protocols.count = i + 1;
    }
    answer->message.protocols.items = answer->protocols;
}

/* -- what to type -- */

/* Takes `size` bytes of the room when they are there. */
static bool take_room(size_t *room, size_t size)
{
    bool fits = size <= *room;

    *room -= fits ? size : 0;
    return fits;
}

static void add_line(struct answer *answer, const struct definition *definition,
                     const struct definition_show *show, const struct expand_variable *variables,
                     size_t *room)
{
    CLEANUP_TEXT struct text line = {0};
    struct message_share_line *place = &answer->lines[answer->message.lines.count];

    if (answer->message.lines.count == LINES_MAX ||
        expand(show->text, strlen(show->text), variables, &line, NULL) < 0 || !text_ok(&line) ||
        line.length > MESSAGE_LINE_MAX || !take_room(room, line.length + LINE_OVERHEAD)) {
        return; /* the image itself is listed all the same */
    }
    *place = (struct message_share_line){.protocol = (char *)(uintptr_t)definition->name.text,
                                         .label = (char *)(uintptr_t)show->label,
                                         .text = text_take(&line)};
    answer->message.lines.count += place->text != NULL;
}

/* A line that names an image is repeated for each; one that names contents, for each mounted one.
 */
static void add_lines(const struct share *share, struct answer *answer,
                      const struct definition *definition, const struct definition_show *show)
{
    char port[12];
    struct expand_variable variables[] = {
        {"host", answer->host}, {"address", answer->address},
        {"port", port},         {"user", share->row.user.text},
        {"image", ""},          {"contents", ""},
        {NULL, NULL},
    };
    bool per_image = expand_uses(show->text, "image");
    bool per_contents = expand_uses(show->text, "contents");

    snprintf(port, sizeof port, "%u", share_public_port(share->broker, definition, 0));
    if (!per_image && !per_contents) {
        add_line(answer, definition, show, variables, &answer->plain_room);
        return;
    }
    for (uint32_t i = 0; i < share->row.n_images; i++) {
        const struct registry_image *image = &share->row.images[i];
        if (per_contents && image->contents[0] == '\0') {
            continue;
        }
        variables[4].value = image->path.text;
        variables[5].value = image->contents;
        add_line(answer, definition, show, variables, &answer->room);
    }
}

static void fill_lines(const struct share *share, struct answer *answer)
{
    const struct definitions *definitions = share->broker->definitions;

    answer->message.lines.items = answer->lines;
    answer->plain_room = answer->room < PLAIN_ROOM ? answer->room : PLAIN_ROOM;
    answer->room -= answer->plain_room;
    if (share->state != SHARE_ACTIVE) {
        return;
    }
    /* In the definitions' order, which is the form's, and not in that of the request. */
    for (uint32_t d = 0; d < definitions->count; d++) {
        const struct definition *definition = &definitions->items[d];
        for (uint32_t i = 0; i < share->row.n_protocols; i++) {
            if (strcmp(share->row.protocols[i].name.text, definition->name.text) != 0) {
                continue;
            }
            for (uint32_t j = 0; j < definition->n_shows; j++) {
                add_lines(share, answer, definition, &definition->shows[j]);
            }
        }
    }
}

void answer_share(struct connection *connection, const struct share *share)
{
    static const char *const states[] = {
        [SHARE_PREPARING] = "preparing", [SHARE_ACTIVE] = "active", [SHARE_ENDING] = "ending"};
    CLEANUP_FREE struct answer *answer = calloc(1, sizeof *answer);

    if (answer == NULL) {
        return;
    }
    answer->message.user = (char *)(uintptr_t)share->row.user.text;
    answer->message.id = (char *)(uintptr_t)share->row.id;
    answer->message.state = (char *)(uintptr_t)states[share->state];
    answer->message.requester = (char *)(uintptr_t)share->row.requester;
    answer->message.created = share->row.created;
    answer->message.remaining = share_remaining(share);
    /* By today's clock: it may have been set since the end was recorded. */
    answer->message.ends = share->state == SHARE_ENDING
                               ? share->row.ends
                               : (uint64_t)time(NULL) + answer->message.remaining;
    find_host(share, answer);
    fill_clients(share, answer);
    fill_images(share, answer);
    fill_protocols(share, answer);
    fill_lines(share, answer);
    connection_send(connection, MESSAGE_SHARE, &answer->message);
    for (size_t i = 0; i < answer->message.lines.count; i++) {
        free(answer->lines[i].text);
    }
}
