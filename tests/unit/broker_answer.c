/* What a user is told of a share, up to the largest share that there can be. */
#include "answer.h"

#include "cleanup.h"
#include "definition.h"
#include "messages.h"
#include "test.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct wire_message answered; /* as the other end would decode it */
static struct message_share *told;   /* its body */
static size_t packet_size;

/* The connection of this test: what cannot be encoded would cost a real one its answer. */
void connection_send(struct connection *connection, uint16_t id, const void *body)
{
    CLEANUP_TEXT struct text packet = {0};
    const char *field = NULL;

    (void)connection;
    int r = wire_encode(id, body, &packet, &field);
    if (r < 0) {
        printf("# field %s\n", field != NULL ? field : "-");
    }
    CHECK(r == 0 && packet.length <= WIRE_PACKET_MAX);
    packet_size = packet.length;
    wire_free(&answered);
    told = r == 0 && wire_decode(packet.data, packet.length, &answered) == 0 ? answered.body : NULL;
    CHECK(told != NULL && answered.id == MESSAGE_SHARE);
}

uint64_t share_remaining(const struct share *share)
{
    return share->row.deadline_ns / 1000000000u;
}

uint16_t share_public_port(const struct broker *broker, const struct definition *definition,
                           uint32_t n)
{
    (void)broker;
    return definition->ports[n].port;
}

static struct definitions definitions;
static struct broker broker;
static struct share share;

static void show(struct definition *definition, const char *label, const char *text)
{
    struct definition_show *next = &definition->shows[definition->n_shows++];

    snprintf(next->label, sizeof next->label, "%s", label);
    next->text = (char *)(uintptr_t)text;
}

static struct definition *define(const char *name, uint16_t port)
{
    struct definition *definition = &definitions.items[definitions.count++];

    *definition = (struct definition){.n_ports = 1, .ports = {{IPPROTO_TCP, port}}};
    snprintf(definition->name.text, sizeof definition->name.text, "%s", name);
    snprintf(definition->title, sizeof definition->title, "The %s", name);
    return definition;
}

static void begin(uint32_t n_images, uint32_t n_clients, uint32_t n_protocols)
{
    definitions = (struct definitions){0};
    broker = (struct broker){.definitions = &definitions};
    settings_defaults(&broker.settings);
    broker.settings.n_public_ports = 0;
    share = (struct share){.broker = &broker, .state = SHARE_ACTIVE, .status_fd = -1};
    struct registry_share *row = &share.row;
    snprintf(row->user.text, sizeof row->user.text, "alice");
    snprintf(row->requester, sizeof row->requester, "root");
    memcpy(row->id, "0123456789abcdef", 17);
    row->created = 1;
    row->ends = 61;
    row->deadline_ns = 60000000000u;
    row->n_images = n_images;
    row->images = calloc(n_images, sizeof *row->images);
    row->n_clients = n_clients;
    row->clients = calloc(n_clients, sizeof *row->clients);
    row->n_protocols = n_protocols;
    row->protocols = calloc(n_protocols, sizeof *row->protocols);
    for (uint32_t i = 0; i < n_images; i++) {
        snprintf(row->images[i].path.text, sizeof row->images[i].path.text, "%u.iso", i);
        snprintf(row->images[i].type, sizeof row->images[i].type, "iso9660");
    }
    for (uint32_t i = 0; i < n_clients; i++) {
        CHECK(parse_client("127.0.0.1", 9, &row->clients[i], NULL) < 0); /* no client: by hand */
        row->clients[i] = (struct prefix){.address = {.family = AF_INET}, .length = 32};
        memcpy(row->clients[i].address.bytes, (unsigned char[]){127, 0, 0, (unsigned char)(i + 1)},
               4);
    }
}

static void end(void)
{
    wire_free(&answered);
    told = NULL;
    free(share.row.images);
    free(share.row.clients);
    free(share.row.protocols);
}

static void name_protocol(uint32_t i, const char *name)
{
    snprintf(share.row.protocols[i].name.text, sizeof share.row.protocols[i].name.text, "%s", name);
}

static const struct message_share_line *line(size_t i)
{
    static const struct message_share_line none;

    return told != NULL && i < told->lines.count
               ? &((const struct message_share_line *)told->lines.items)[i]
               : &none;
}

static void an_ordinary_share(void)
{
    begin(2, 1, 2);
    struct definition *http = define("http", 8080);
    show(http, "all", "http://{{host}}:{{port}}/");
    show(http, "image", "http://{{host}}:{{port}}/{{image|url}}");
    show(http, "inside", "http://{{host}}:{{port}}/{{contents|url}}/");
    show(define("ftp", 21), "all", "ftp://{{user}}@{{address}}/");
    name_protocol(0, "ftp"); /* asked for in another order than shown */
    name_protocol(1, "http");
    snprintf(share.row.images[1].contents, sizeof share.row.images[1].contents, "the 1");
    answer_share(NULL, &share);
    CHECK_TEXT(told->user, "alice");
    CHECK_TEXT(told->state, "active");
    CHECK(told->remaining == 60);
    CHECK(told->images.count == 2 && told->protocols.count == 2 && told->clients.count == 1);
    CHECK(told->lines.count == 5);
    CHECK_TEXT(line(0)->text, "http://127.0.0.1:8080/");
    CHECK_TEXT(line(1)->text, "http://127.0.0.1:8080/0.iso");
    CHECK_TEXT(line(2)->text, "http://127.0.0.1:8080/1.iso");
    CHECK_TEXT(line(3)->text, "http://127.0.0.1:8080/the%201/");
    CHECK_TEXT(line(4)->text, "ftp://alice@127.0.0.1/");
    const struct message_share_protocol *protocols = told->protocols.items;
    CHECK_TEXT(protocols[0].ports, "tcp/21");
    CHECK_TEXT(protocols[0].title, "The ftp");
    CHECK_TEXT(protocols[0].state, "ready");
    end();
}

/* Nothing to type yet, or any more. */
static void not_active(void)
{
    static const struct {
        enum share_state state;
        const char *word;
    } rows[] = {{SHARE_PREPARING, "preparing"}, {SHARE_ENDING, "ending"}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        begin(1, 1, 1);
        show(define("http", 8080), "all", "http://{{host}}/");
        name_protocol(0, "http");
        share.state = rows[i].state;
        share.row.images[0].type[0] = '\0'; /* not yet looked at */
        answer_share(NULL, &share);
        CHECK_TEXT(told->state, rows[i].word);
        CHECK(told->lines.count == 0);
        CHECK_TEXT(((struct message_share_protocol *)told->protocols.items)->state, rows[i].word);
        end();
    }
}

static void a_protocol_that_is_gone(void)
{
    begin(1, 1, 1);
    name_protocol(0, "gopher");
    answer_share(NULL, &share);
    CHECK_TEXT(((struct message_share_protocol *)told->protocols.items)->title, "gopher");
    end();
}

/* What a hostile sandbox writes there is numbers to us, and no text. */
static void a_status_of_garbage(void)
{
    struct supervisor_status status;

    begin(1, 1, 1);
    define("http", 8080);
    name_protocol(0, "http");
    memset(&status, 0xff, sizeof status);
    share.status_fd = memfd_create("status", MFD_CLOEXEC);
    CHECK(write(share.status_fd, &status, sizeof status) == (ssize_t)sizeof status);
    answer_share(NULL, &share);
    CHECK(strstr(((struct message_share_protocol *)told->protocols.items)->state, "failed") !=
          NULL);
    CHECK(ftruncate(share.status_fd, 3) == 0);
    answer_share(NULL, &share);
    CHECK_TEXT(((struct message_share_protocol *)told->protocols.items)->state, "ready");
    close(share.status_fd);
    end();
}

static void fill(char *text, size_t length, char with)
{
    memset(text, with, length);
    text[length] = '\0';
}

/* Everything as long as it can be: `with` is a character, of one byte in a URL or of three. */
static void fill_all(char with)
{
    begin(MESSAGE_IMAGES_MAX, MESSAGE_CLIENTS_MAX, 16);
    for (uint32_t i = 0; i < MESSAGE_IMAGES_MAX; i++) {
        struct registry_image *image = &share.row.images[i];
        fill(image->path.text, IMAGE_PATH_MAX, with);
        fill(image->contents, IMAGE_PATH_MAX + 15, with);
        fill(image->type, sizeof image->type - 1, 't');
        fill(image->note, sizeof image->note - 1, 'n');
        image->size = UINT64_MAX;
    }
    for (uint32_t i = 0; i < MESSAGE_CLIENTS_MAX; i++) {
        struct prefix *client = &share.row.clients[i];
        *client = (struct prefix){.address = {.family = AF_INET6}, .length = 127};
        memset(client->address.bytes, 0xfd, sizeof client->address.bytes);
    }
    fill(share.row.user.text, sizeof share.row.user.text - 1, 'u');
    fill(share.row.requester, sizeof share.row.requester - 1, 'r');
    for (uint32_t i = 0; i < 16; i++) {
        char name[PROTOCOL_NAME_MAX + 1];
        fill(name, PROTOCOL_NAME_MAX, (char)('a' + i));
        struct definition *definition = define(name, 50000);
        fill(definition->title, sizeof definition->title - 1, 'T');
        definition->n_ports = DEFINITION_PORTS_MAX;
        for (uint32_t j = 0; j < DEFINITION_PORTS_MAX; j++) {
            definition->ports[j] = (struct definition_port){IPPROTO_TCP, (uint16_t)(60000 + j)};
        }
        name_protocol(i, name);
    }
}

static void the_largest_share(void)
{
    char label[64];

    fill(label, sizeof label - 1, 'l');
    for (unsigned turn = 0; turn < 2; turn++) {
        fill_all(turn == 0 ? 'p' : ' ');
        for (uint32_t i = 0; i < 16; i++) {
            for (uint32_t j = 0; j + 1 < DEFINITION_SHOW_MAX; j++) {
                show(&definitions.items[i], label, "x://{{host}}/{{image|url}}");
            }
            show(&definitions.items[i], label, "x://{{host}}/");
        }
        answer_share(NULL, &share);
        CHECK(told != NULL && told->images.count == MESSAGE_IMAGES_MAX &&
              told->clients.count == MESSAGE_CLIENTS_MAX && told->protocols.count == 16);
        CHECK(told != NULL && told->lines.count > 0); /* the plain ones, as far as they fit */
        end();
    }
}

/* Long lines that name images do not take the place of the short ones that name the share. */
static void plain_lines_come_first(void)
{
    fill_all('p');
    for (uint32_t i = 0; i < MESSAGE_IMAGES_MAX; i++) {
        share.row.images[i].note[0] = share.row.images[i].contents[0] = '\0';
    }
    for (uint32_t i = 0; i < 16; i++) {
        show(&definitions.items[i], "image", "x://{{host}}/{{image|url}}");
        show(&definitions.items[i], "all", "x://{{host}}/");
    }
    answer_share(NULL, &share);
    unsigned plain = 0;
    for (size_t i = 0; told != NULL && i < told->lines.count; i++) {
        plain += strcmp(line(i)->label, "all") == 0;
    }
    CHECK(plain == 16);
    CHECK(told != NULL && told->lines.count > 30);
    CHECK(packet_size > 140000);
    end();
}

/* A line that no message holds is left out; one line less is better than no answer. */
static void a_line_that_is_too_long(void)
{
    begin(2, 1, 1);
    struct definition *http = define("http", 8080);
    show(http, "image", "http://{{host}}/{{image|url}}");
    name_protocol(0, "http");
    fill(share.row.images[0].path.text, IMAGE_PATH_MAX, ' ');
    answer_share(NULL, &share);
    CHECK(told != NULL && told->images.count == 2);
    CHECK(told != NULL && told->lines.count == 1);
    CHECK_TEXT(line(0)->text, "http://127.0.0.1/1.iso");
    end();
}

TEST_MAIN({"an ordinary share", an_ordinary_share}, {"a share that is not active", not_active},
          {"a protocol that is not configured any more", a_protocol_that_is_gone},
          {"a status of garbage", a_status_of_garbage}, {"the largest share", the_largest_share},
          {"plain lines come first", plain_lines_come_first},
          {"a line that is too long", a_line_that_is_too_long})
