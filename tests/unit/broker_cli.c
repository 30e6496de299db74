/* The command line: options, usage errors, and whole runs against a made-up broker. */
#include "test.h"

#include "cleanup.h"
#include "cli.h"
#include "messages.h"
#include "table.h"

#include <errno.h>
#include <locale.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

/* One run of cdss, and what came out. */
struct run {
    int status;
    char *out, *err;
};

static char directory[] = "/tmp/cdss-unit-cli-XXXXXX";
static char config[64], socket_path[64];

static void run_free(struct run *run)
{
    free(run->out);
    free(run->err);
}
#define CLEANUP_RUN __attribute__((cleanup(run_free)))

static struct run run_words(char **words)
{
    struct run run = {0};
    size_t out_size, err_size;
    int count = 0;
    while (words[count] != NULL) {
        count++;
    }
    FILE *out = open_memstream(&run.out, &out_size), *err = open_memstream(&run.err, &err_size);
    run.status = cli_run(count, words, out, err);
    fclose(out);
    fclose(err);
    return run;
}
#define RUN(...) run_words((char *[]){"cdss", "-c", config, __VA_ARGS__, NULL})

static bool has(const char *text, const char *part)
{
    bool found = text != NULL && strstr(text, part) != NULL;
    if (!found) {
        printf("# \"%s\" is not in: %s\n", part, text != NULL ? text : "(null)");
    }
    return found;
}

static void make_site(void)
{
    CHECK(mkdtemp(directory) != NULL);
    snprintf(config, sizeof config, "%s/cdss.conf", directory);
    snprintf(socket_path, sizeof socket_path, "%s/broker.sock", directory);
    CLEANUP_FILE FILE *file = fopen(config, "we");
    CHECK(file != NULL);
    if (file != NULL) {
        fprintf(file, "[broker]\nsocket=%s\n", socket_path);
    }
}

static void remove_site(void)
{
    unlink(config);
    unlink(socket_path);
    CHECK(rmdir(directory) == 0);
}

/* --- the made-up broker: a child that serves one request --- */

typedef void script(int fd, const struct wire_message *request);

static void answer(int fd, uint16_t id, const void *body)
{
    CLEANUP_TEXT struct text packet = {0};
    const char *field = "";
    int error = wire_encode(id, body, &packet, &field);
    if (error < 0 || send(fd, packet.data, packet.length, MSG_NOSIGNAL) < 0) {
        fprintf(stderr, "# message %u could not be sent: %d %s\n", id, error, field);
    }
}

static void serve_one(int listener, script *play)
{
    static char packet[WIRE_PACKET_MAX];
    struct wire_message request;
    alarm(10);
    CLEANUP_CLOSE int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : recv(fd, packet, sizeof packet, 0);
    if (length > 0 && wire_decode(packet, (size_t)length, &request) == 0) {
        play(fd, &request);
        wire_free(&request);
    }
}

static pid_t broker_start(script *play)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    text_copy(address.sun_path, sizeof address.sun_path, socket_path);
    unlink(socket_path);
    CLEANUP_CLOSE int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(listener, 1) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        serve_one(listener, play);
        _exit(0);
    }
    return child;
}

static struct run run_against(script *play, char **words)
{
    pid_t child = broker_start(play);
    struct run run = run_words(words);
    CHECK(waitpid(child, NULL, 0) == child);
    unlink(socket_path);
    return run;
}
#define AGAINST(play, ...) run_against(play, (char *[]){"cdss", "-c", config, __VA_ARGS__, NULL})

static void send_done(int fd, uint32_t outcome, const char *sentence)
{
    struct message_done done = {outcome, (char *)sentence};
    answer(fd, MESSAGE_DONE, &done);
}

static void send_refused(int fd, const char *field, const char *sentence)
{
    struct message_refused refused = {(char *)field, (char *)sentence};
    answer(fd, MESSAGE_REFUSED, &refused);
}

static void send_share(int fd, const char *user, const char *image)
{
    char *clients[] = {"10.0.0.5", "fd00::/64"};
    struct message_share_image images[] = {
        {(char *)image, "iso9660", 660000000, "linux/debian-12", ""},
        {"firmware.bin", "raw", 12, "", "is no image that can be mounted"},
    };
    struct message_share_protocol protocols[] = {{"http", "HTTP", "tcp/8080", "ready", 7}};
    struct message_share_line lines[] = {{"http", "in a browser", "http://192.0.2.1:8080/"}};
    struct message_share share = {
        .user = (char *)user,
        .id = "0123456789abcdef",
        .state = "active",
        .requester = "root (uid 0)",
        .created = 1700000000,
        .ends = 1700086400,
        .remaining = 86340,
        .clients = {clients, 2},
        .images = {images, 2},
        .protocols = {protocols, 1},
        .lines = {lines, 1},
    };
    answer(fd, MESSAGE_SHARE, &share);
}

#define ODD_PATH "-odd 'na\"me'\xc3\xbc.iso"

/* No broker of ours says so. */
#define HOSTILE_PATH "-odd 'na\"me'\n\xc3\xbc.iso"

static bool is_expected_create(const struct wire_message *request)
{
    const struct message_share_create *create = request->body;
    return request->id == MESSAGE_SHARE_CREATE && strcmp(create->user, "alice") == 0 &&
           create->images.count == 2 && strcmp(create->images.items[0], ODD_PATH) == 0 &&
           strcmp(create->images.items[1], "b,c.iso") == 0 && create->clients.count == 2 &&
           strcmp(create->clients.items[1], "fd00::/64") == 0 && create->protocols.count == 3 &&
           strcmp(create->protocols.items[2], "tftp") == 0 && create->seconds == 2700 &&
           create->flags == SHARE_ALLOW_LOCAL;
}

static void play_create(int fd, const struct wire_message *request)
{
    struct message_progress progress = {1, 3, "mounting 2 images"};
    if (!is_expected_create(request)) {
        send_refused(fd, "", "not what was typed");
        return;
    }
    answer(fd, MESSAGE_PROGRESS, &progress);
    send_share(fd, "alice", HOSTILE_PATH);
    send_done(fd, 0, "");
}

static void test_create(void)
{
    CLEANUP_RUN struct run run =
        AGAINST(play_create, "share", "--for=45m", "create", "--image", ODD_PATH, "--image",
                "b,c.iso", "--client", "10.0.0.5", "--client=fd00::/64", "--protocol", "http,ftp",
                "--allow-local", "--protocol", "tftp", "--", "alice");
    CHECK(run.status == 0);
    CHECK_TEXT(run.err, ""); /* no progress line: it is no terminal */
    CHECK(has(run.out, "Share alice is active until 2023-11-1"));
    CHECK(has(run.out, "23h 59m left"));
    CHECK(has(run.out, "For 10.0.0.5, fd00::/64, and nobody else."));
    CHECK(has(run.out, "-odd 'na\"me'\\n\xc3\xbc.iso"));
    CHECK(has(run.out, "linux/debian-12/\n"));
    CHECK(has(run.out, "  http  in a browser  http://192.0.2.1:8080/\n"));
    CHECK(has(run.out, "  firmware.bin: is no image that can be mounted\n"));
}

static void test_create_json(void)
{
    CLEANUP_RUN struct run run =
        AGAINST(play_create, "--json", "share", "create", "alice", "--image", ODD_PATH, "--image",
                "b,c.iso", "--client", "10.0.0.5", "--client", "fd00::/64", "--protocol",
                "http,ftp,tftp", "--for", "2700s", "--allow-local");
    CHECK(run.status == 0);
    CHECK(has(run.out, "{\"user\":\"alice\""));
    CHECK(has(run.out, "na\\\"me'\\n\xc3\xbc.iso"));
    CHECK(run.out != NULL && strchr(run.out, '\n') == run.out + strlen(run.out) - 1);
}

static void play_refuse(int fd, const struct wire_message *request)
{
    (void)request;
    send_refused(fd, "user", "there is no share \"bob\"");
}

static void test_refused(void)
{
    CLEANUP_RUN struct run text = AGAINST(play_refuse, "share", "show", "bob");
    CHECK(text.status == 1);
    CHECK_TEXT(text.out, "");
    CHECK_TEXT(text.err, "cdss: there is no share \"bob\"\n");
    CLEANUP_RUN struct run json = AGAINST(play_refuse, "share", "show", "bob", "--json");
    CHECK(json.status == 1);
    CHECK_TEXT(json.err, "cdss: there is no share \"bob\"\n");
    CHECK(has(json.out, "{\"error\":{\"field\":\"user\",\"message\":\"there is no share \\\"bob"));
}

static void play_nothing(int fd, const struct wire_message *request)
{
    bool known = request->id == MESSAGE_REAP || request->id == MESSAGE_SHARE_REMOVE;
    send_done(fd, known ? 3 : 0, "There was nothing to do.");
}

static void test_nothing_to_do(void)
{
    CLEANUP_RUN struct run reap = AGAINST(play_nothing, "reap");
    CHECK(reap.status == 3);
    CHECK_TEXT(reap.out, "There was nothing to do.\n");
    CLEANUP_RUN struct run gone = AGAINST(play_nothing, "share", "remove", "bob", "--json");
    CHECK(gone.status == 3);
    CHECK(has(gone.out, "{\"outcome\":\"nothing to do\""));
}

static void play_list(int fd, const struct wire_message *request)
{
    if (request->id == MESSAGE_SHARE_LIST) {
        send_share(fd, "alice", "a.iso");
        send_share(fd, "b", "a.iso");
    } else {
        struct message_image wide = {"\xe6\x97\xa5\xe6\x9c\xac.iso", "raw", 5, 0, 1};
        struct message_image narrow = {"a/longer.iso", "udf", 4700000000, 1, 0};
        answer(fd, MESSAGE_IMAGE, &wide);
        answer(fd, MESSAGE_IMAGE, &narrow);
    }
    send_done(fd, 0, "");
}

static void test_lists(void)
{
    CLEANUP_RUN struct run shares = AGAINST(play_list, "share", "list");
    CHECK(shares.status == 0);
    CHECK(has(shares.out, "USER   STATE   ENDS IN  IMAGES  PROTOCOLS  CLIENTS"));
    CHECK(has(shares.out, "b      active  23h 59m       2  http       10.0.0.5 fd00::/64  root"));
    CLEANUP_RUN struct run images = AGAINST(play_list, "image", "list");
    CHECK_TEXT(images.out, "IMAGE           SIZE  KIND  CONTENTS  PASSWORD\n"
                           "\xe6\x97\xa5\xe6\x9c\xac.iso         5 B  raw   -         yes\n"
                           "a/longer.iso  4.7 GB  udf   yes       -\n");
    CLEANUP_RUN struct run json = AGAINST(play_list, "image", "list", "--json");
    CHECK(has(json.out, "{\"images\":[{\"path\":"));
}

static void play_empty(int fd, const struct wire_message *request)
{
    (void)request;
    send_done(fd, 0, "");
}

static void test_empty_lists(void)
{
    CLEANUP_RUN struct run text = AGAINST(play_empty, "share", "list");
    CHECK_TEXT(text.out, "There are no shares.\n");
    CLEANUP_RUN struct run json = AGAINST(play_empty, "share", "list", "--json");
    CHECK_TEXT(json.out, "{\"shares\":[]}\n");
}

static void play_status(int fd, const struct wire_message *request)
{
    struct message_status status = {.version = "1.2.3",
                                    .commit = "abcdef0",
                                    .pid = 4711,
                                    .started = 1700000000,
                                    .active = 5,
                                    .firewall = "ok",
                                    .registry = "the disk is full"};
    (void)request;
    answer(fd, MESSAGE_STATUS_REPLY, &status);
    send_done(fd, 0, "");
}

static void test_status(void)
{
    CLEANUP_RUN struct run text = AGAINST(play_status, "status");
    CHECK(text.status == 0);
    CHECK(has(text.out, "version                1.2.3 (abcdef0)\n"));
    CHECK(has(text.out, "registry               the disk is full\n"));
    CLEANUP_RUN struct run json = AGAINST(play_status, "status", "--json");
    CHECK(has(json.out, "\"active\":5"));
}

static void play_hang_up(int fd, const struct wire_message *request)
{
    (void)fd;
    (void)request;
}

static void play_garbage(int fd, const struct wire_message *request)
{
    (void)request;
    send(fd, "\xcd\x55\x00\x01\x7f\xff\x00\x00", 8, MSG_NOSIGNAL);
}

static void test_bad_brokers(void)
{
    CLEANUP_RUN struct run gone = AGAINST(play_hang_up, "status");
    CHECK(gone.status == 1);
    CHECK(has(gone.err, "the broker hung up"));
    CLEANUP_RUN struct run garbage = AGAINST(play_garbage, "status");
    CHECK(garbage.status == 1);
    CHECK(has(garbage.err, "are cdss and cdssd of one version?"));
}

static void test_no_broker(void)
{
    CLEANUP_RUN struct run status = RUN("status");
    CHECK(status.status == 1);
    CHECK(has(status.err, "the broker is not running"));
    CHECK(has(status.err, "systemctl start cdssd"));
    CLEANUP_RUN struct run reap = RUN("reap");
    CHECK(reap.status == 1);
    CHECK(has(reap.err, "cut already"));
}

/* Each is refused before anything is sent, with status 2 and a sentence that has this part. */
static void test_usage_errors(void)
{
    static const struct {
        char *words[12];
        const char *part;
    } cases[] = {
        {{"cdss"}, "usage: cdss [OPTION...] COMMAND"},
        {{"cdss", "share"}, "usage: cdss share COMMAND"},
        {{"cdss", "shares", "list"}, "there is no command \"shares list\""},
        {{"cdss", "share", "sh\033ow", "x"}, "\"share sh\\x1bow\""},
        {{"cdss", "share", "show"}, "USER is missing: cdss share show USER"},
        {{"cdss", "share", "show", "a", "b\n"}, "\"b\\n\" is one word too many"},
        {{"cdss", "share", "show", "a", "--image", "x"}, "--image does not belong here"},
        {{"cdss", "share", "add", "a"}, "--image is missing"},
        {{"cdss", "share", "extend", "a", "--for"}, "--for needs a value"},
        {{"cdss", "share", "extend", "a", "--for", "5 hours"}, "the duration \"5 hours\" "},
        {{"cdss", "share", "extend", "a", "--for", "1h", "--for", "2h"}, "--for is given twice"},
        {{"cdss", "share", "add", "a", "--image", "../x"}, "the image path \"../x\" "},
        {{"cdss", "share", "show", "a b"}, "the user name \"a b\" "},
        {{"cdss", "status", "--json=yes"}, "--json takes no value"},
        {{"cdss", "status", "--password-stdin"}, "--password-stdin does not belong here"},
        {{"cdss", "password", "list", "x", "--label", "y"}, "--label does not belong here"},
        {{"cdss", "password", "add", "x", "--label", "#3"}, "the label \"#3\" begins with a #"},
        {{"cdss", "password", "remove"}, "PATH is missing: cdss password remove PATH LABEL"},
        {{"cdss", "password", "remove", "x"}, "LABEL is missing"},
        {{"cdss", "password", "remove", "x", "y", "z"}, "\"z\" is one word too many"},
        {{"cdss", "status", "--jso"}, "there is no option \"--jso\""},
        {{"cdss", "password", "show", "x"}, "there is no command \"password show\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_RUN struct run run = run_words((char **)cases[i].words);
        CHECK(run.status == 2);
        CHECK(has(run.err, cases[i].part));
        CHECK_TEXT(run.out, strstr(cases[i].part, "--json ") != NULL ? run.out : "");
    }
}

#define CREATE "share", "create", "a", "--image", "x"

static void test_bad_values(void)
{
    CLEANUP_RUN struct run client = RUN(CREATE, "--client", "10.0.0.5/8", "--protocol", "http");
    CHECK(client.status == 2);
    CHECK(has(client.err, "the client \"10.0.0.5/8\" "));
    CLEANUP_RUN struct run protocol = RUN(CREATE, "--client", "10.0.0.5", "--protocol", "http,");
    CHECK(protocol.status == 2);
    CHECK(has(protocol.err, "the protocol \"\" "));
}

static void test_too_many(void)
{
    char *words[2 * (MESSAGE_IMAGES_MAX + 1) + 5] = {"cdss", "share", "add", "a"};
    for (size_t i = 0; i <= MESSAGE_IMAGES_MAX; i++) {
        words[4 + 2 * i] = "--image";
        words[5 + 2 * i] = "x.iso";
    }
    CLEANUP_RUN struct run run = run_words(words);
    CHECK(run.status == 2);
    CHECK(has(run.err, "--image is given 65 times, and a request holds at most 64"));
}

static void test_help(void)
{
    CLEANUP_RUN struct run all = RUN("--help");
    CHECK(all.status == 0);
    CHECK(has(all.out, "\n  share create USER  "));
    CHECK(has(all.out, "\n  doctor  "));
    CLEANUP_RUN struct run one = RUN("share", "create", "-h");
    CHECK(one.status == 0);
    CHECK(has(one.out, "usage: cdss share create USER --image PATH... --client ADDRESS..."));
    CHECK(has(one.out, "  -c, --config FILE "));
    CLEANUP_RUN struct run version = RUN("--version");
    CHECK(version.status == 0);
    CHECK(strncmp(version.out, "cdss ", 5) == 0);
}

static void test_bad_configuration(void)
{
    CLEANUP_RUN struct run run = run_words(
        (char *[]){"cdss", "status", "--json", "--config", "/nonexistent/cdss.conf", NULL});
    CHECK(run.status == 1);
    CHECK(has(run.err, "/nonexistent/cdss.conf"));
    CHECK(has(run.out, "{\"error\":"));
}

static void test_table(void)
{
    static const struct table_column columns[] = {{"N", true}, {"NAME", false}, {"X", false}};
    CLEANUP_TABLE struct table table;
    CLEANUP_TEXT struct text out = {0};
    setlocale(LC_CTYPE, "C.UTF-8");
    table_begin(&table, columns, 3);
    table_cell_format(&table, "%d", 7);
    table_cell(&table, "\xe6\x97\xa5"); /* two columns wide */
    table_cell(&table, "");
    table_cell_format(&table, "%d", 123);
    table_cell(&table, "u\xcc\x88"); /* a combining character: one column */
    table_cell(&table, "\033[31m");
    CHECK(table_draw(&table, "> ", &out) == 0);
    CHECK_TEXT(out.data, ">   N  NAME  X\n"
                         ">   7  \xe6\x97\xa5\n"
                         "> 123  u\xcc\x88     \\x1b[31m\n");
    CHECK(table_text_width("\xff\xfe") == 2);
}

TEST_MAIN({"a site", make_site}, {"a table lines up by display width", test_table},
          {"mistakes are usage errors", test_usage_errors},
          {"bad values are usage errors", test_bad_values},
          {"too many values are a usage error", test_too_many}, {"help", test_help},
          {"a bad configuration is named", test_bad_configuration},
          {"no broker: what to do", test_no_broker},
          {"create sends what was typed and shows the share", test_create},
          {"create as JSON", test_create_json}, {"a refusal, as text and as JSON", test_refused},
          {"nothing to do is status 3", test_nothing_to_do}, {"lists are tables", test_lists},
          {"empty lists say so", test_empty_lists}, {"status", test_status},
          {"a broker that hangs up or talks garbage", test_bad_brokers}, {"clean", remove_site})
