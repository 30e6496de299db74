/* Every way to be refused, and the sentence; and what is not refused. */
#include "policy.h"

#include "cleanup.h"
#include "definition.h"
#include "share.h"
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct definitions definitions;
static struct broker broker;

static void define(const char *name, uint8_t transport, uint16_t port, uint32_t n_ports)
{
    struct definition *definition = &definitions.items[definitions.count++];

    snprintf(definition->name.text, sizeof definition->name.text, "%s", name);
    for (uint32_t i = 0; i < n_ports; i++) {
        definition->ports[definition->n_ports++] =
            (struct definition_port){transport, (uint16_t)(port + i)};
    }
}

static void begin(void)
{
    char name[8];

    definitions = (struct definitions){0};
    broker = (struct broker){.definitions = &definitions};
    settings_defaults(&broker.settings);
    define("http", IPPROTO_TCP, 80, 1); /* [ports] puts it on 8080 */
    define("ftp", IPPROTO_TCP, 21, 1);
    define("tftp", IPPROTO_UDP, 21, 1); /* the same number, another transport */
    define("other", IPPROTO_TCP, 8080, 1);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "many%u", i);
        define(name, IPPROTO_TCP, (uint16_t)(4000 + 10 * i), DEFINITION_PORTS_MAX);
    }
}

static void run_ip(const char *a, const char *b, const char *c, const char *d, const char *e,
                   const char *f, const char *g)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execlp("ip", "ip", a, b, c, d, e, f, g, (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static struct texts texts(char **items)
{
    struct texts list = {.items = items};

    while (items[list.count] != NULL) {
        list.count++;
    }
    return list;
}

#define TEXTS(...) texts((char *[]){__VA_ARGS__, NULL})
#define NO_TEXTS   ((struct texts){0})

static struct message_share_create request(void)
{
    static char *images[] = {(char *)"a.iso", (char *)"b/c.iso", NULL};
    static char *clients[] = {(char *)"10.1.2.3", (char *)"fd00::/64", NULL};
    static char *protocols[] = {(char *)"ftp", (char *)"http", NULL};

    return (struct message_share_create){.user = (char *)"alice",
                                         .images = texts(images),
                                         .clients = texts(clients),
                                         .protocols = texts(protocols)};
}

static bool is_refused(const struct message_share_create *what, const char *field, const char *part)
{
    struct registry_share row = {0};
    struct refusal refusal = {0};

    int r = policy_create(&broker, what, &row, &refusal);
    bool right = r == -EPERM && strcmp(refusal.field, field) == 0 &&
                 strstr(refusal.sentence, part) != NULL &&
                 refusal.sentence[strlen(refusal.sentence) - 1] == '.';
    if (!right) {
        printf("# %d, %s: %s\n", r, refusal.field, refusal.sentence);
    }
    CHECK(row.clients == NULL && row.images == NULL && row.protocols == NULL);
    share_free_row(&row);
    return right;
}

static bool is_allowed(const struct message_share_create *what, struct registry_share *row)
{
    struct refusal refusal = {0};

    int r = policy_create(&broker, what, row, &refusal);
    if (r < 0) {
        printf("# %d, %s: %s\n", r, refusal.field, refusal.sentence);
    }
    return r == 0;
}

static void allowed(void)
{
    struct registry_share row = {0};
    struct message_share_create r = request();

    begin();
    uint64_t now = loop_now();
    CHECK(is_allowed(&r, &row));
    CHECK_TEXT(row.user.text, "alice");
    CHECK(row.n_images == 2 && row.n_clients == 2 && row.n_protocols == 2 && !row.local);
    CHECK_TEXT(row.images[1].path.text, "b/c.iso");
    CHECK_TEXT(row.protocols[0].name.text, "ftp");
    CHECK(row.clients[0].length == 32 && row.clients[1].length == 64);
    CHECK(row.ends - row.created == 86400);
    CHECK(row.deadline_ns - now - 86400000000000u < 1000000000u);
    CHECK(!row.active && row.mark == 0);
    share_free_row(&row);
}

static void users(void)
{
    struct message_share_create r = request();
    struct share other = {.broker = &broker, .pidfd = -1};

    begin();
    r.user = (char *)"a b\x1b[31m";
    CHECK(is_refused(&r, "user", "\"a b\\x1b[31m\""));
    r = request();
    snprintf(other.row.user.text, sizeof other.row.user.text, "alice");
    broker.shares = &other;
    broker.n_shares = 1;
    other.state = SHARE_ACTIVE;
    CHECK(is_refused(&r, "user", "has a share already"));
    other.state = SHARE_PREPARING; /* two at once */
    CHECK(is_refused(&r, "user", "has a share already"));
    other.state = SHARE_ENDING;
    CHECK(is_refused(&r, "user", "just ending"));
}

static void counts(void)
{
    struct message_share_create r = request();
    struct share other = {.broker = &broker, .state = SHARE_PREPARING};
    struct registry_share row = {0};

    begin();
    broker.shares = &other;
    broker.n_shares = 1;
    broker.settings.max_shares = 1;
    CHECK(is_refused(&r, "", "max_shares"));
    broker.settings.max_shares = 0;
    broker.settings.max_preparing = 1;
    CHECK(is_refused(&r, "", "max_preparing"));
    other.state = SHARE_ACTIVE;
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
}

static void images(void)
{
    struct message_share_create r = request();
    static char long_path[1400];
    static char *many[] = {(char *)"1", (char *)"2", (char *)"3", NULL};

    begin();
    r.images = NO_TEXTS;
    CHECK(is_refused(&r, "image", "No image"));
    r.images = TEXTS((char *)"a.iso", (char *)"a.iso");
    CHECK(is_refused(&r, "image", "named twice"));
    r.images = TEXTS((char *)"../etc/passwd");
    CHECK(is_refused(&r, "image", "../etc/passwd"));
    memset(long_path, '\a', sizeof long_path - 1); /* four characters each, when shown */
    r.images = TEXTS(long_path);
    CHECK(is_refused(&r, "image", "..."));
    r.images = texts(many);
    broker.settings.max_images = 2;
    CHECK(is_refused(&r, "image", "max_images"));
}

static void clients(void)
{
    static const struct {
        const char *first, *second, *part;
    } rows[] = {{"10.0.0.1", "10.0.0.1", "named twice"},
                {"10.0.0.0/24", "10.0.0.1", "inside another"},
                {"10.0.0.1", "10.0.0.0/24", "inside another"},
                {"10.0.0.1", "nonsense", "nonsense"},
                {"10.0.0.1", "::ffff:10.0.0.1", "named twice"},
                {"10.0.0.1", "127.0.0.1", "127.0.0.1"},
                {"10.0.0.1", "0.0.0.0/0", "0.0.0.0/0"}};
    struct message_share_create r = request();

    begin();
    r.clients = NO_TEXTS;
    CHECK(is_refused(&r, "client", "No client"));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        r.clients = TEXTS((char *)(uintptr_t)rows[i].first, (char *)(uintptr_t)rows[i].second);
        CHECK(is_refused(&r, "client", rows[i].part));
    }
    broker.settings.max_clients = 1;
    r.clients = TEXTS((char *)"10.0.0.1", (char *)"10.0.0.2");
    CHECK(is_refused(&r, "client", "max_clients"));
}

/* An address of a namespace of our own, by then. */
static void our_own_address(void)
{
    struct message_share_create r = request();
    struct registry_share row = {0};

    begin();
    CHECK(unshare(CLONE_NEWNET) == 0);
    r.clients = TEXTS((char *)"10.77.7.7", (char *)"fd77::7");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    run_ip("link", "set", "lo", "up", NULL, NULL, NULL);
    run_ip("addr", "add", "10.77.7.7/24", "dev", "lo", NULL, NULL);
    run_ip("-6", "addr", "add", "fd77::7/64", "dev", "lo", NULL);
    CHECK(is_refused(&r, "client", "10.77.7.7"));
    r.clients = TEXTS((char *)"fd77::7");
    CHECK(is_refused(&r, "client", "--allow-local"));
    r.clients = TEXTS((char *)"10.77.7.0/24"); /* holds it, and is no host */
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    r.clients = TEXTS((char *)"10.77.7.7");
    r.flags = SHARE_ALLOW_LOCAL;
    CHECK(is_allowed(&r, &row));
    CHECK(row.local);
    share_free_row(&row);
}

/* The most specific wins: a host in another share's network is no collision, two networks are. */
static void clients_of_others(void)
{
    struct message_share_create r = request();
    struct registry_share row = {0};
    struct prefix its[2];
    struct share other = {.broker = &broker, .state = SHARE_ACTIVE};

    begin();
    CHECK(parse_client("10.1.0.0/16", 11, &its[0], NULL) == 0);
    CHECK(parse_client("10.9.9.9", 8, &its[1], NULL) == 0);
    snprintf(other.row.user.text, sizeof other.row.user.text, "bob");
    other.row.clients = its;
    other.row.n_clients = 2;
    broker.shares = &other;
    broker.n_shares = 1;
    r.clients = TEXTS((char *)"10.9.9.9");
    CHECK(is_refused(&r, "client", "share of bob"));
    r.clients = TEXTS((char *)"10.1.2.0/24");
    CHECK(is_refused(&r, "client", "10.1.0.0/16"));
    r.clients = TEXTS((char *)"10.1.2.3", (char *)"10.9.9.0/24");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    other.state = SHARE_ENDING; /* its elements are gone from the firewall already */
    r.clients = TEXTS((char *)"10.9.9.9");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
}

static void protocols(void)
{
    struct message_share_create r = request();
    struct registry_share row = {0};
    static char *all_many[] = {
        (char *)"many0", (char *)"many1", (char *)"many2", (char *)"many3", (char *)"many4",
        (char *)"many5", (char *)"many6", (char *)"many7", (char *)"many8", NULL};

    begin();
    r.protocols = NO_TEXTS;
    CHECK(is_refused(&r, "protocol", "No protocol"));
    r.protocols = TEXTS((char *)"gopher");
    CHECK(is_refused(&r, "protocol", "http, ftp"));
    r.protocols = TEXTS((char *)"ftp", (char *)"ftp");
    CHECK(is_refused(&r, "protocol", "named twice"));
    r.protocols = TEXTS((char *)"http", (char *)"other"); /* by [ports], not by the definition */
    CHECK(is_refused(&r, "protocol", "same port"));
    r.protocols = TEXTS((char *)"ftp", (char *)"tftp");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    /* The firewall would leave out what is above its limit, and nobody would know. */
    r.protocols = texts(all_many);
    CHECK(is_refused(&r, "protocol", "72 ports"));
    r.protocols.count = 8;
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
}

static int lifetime(const struct share *share, uint64_t wanted, uint64_t *seconds, const char *part)
{
    struct refusal refusal = {0};

    int r = policy_lifetime(&broker, share, wanted, seconds, &refusal);
    if (r < 0) {
        CHECK_TEXT(refusal.field, "lifetime");
        CHECK(strstr(refusal.sentence, part) != NULL);
    }
    return r;
}

static void lifetimes(void)
{
    uint64_t seconds = 7;

    begin();
    CHECK(lifetime(NULL, 0, &seconds, "") == 0 && seconds == 86400);
    CHECK(lifetime(NULL, 1, &seconds, "") == 0 && seconds == 1);
    /* Administrators have a limit of their own, which is none. */
    CHECK(lifetime(NULL, 3650u * 86400, &seconds, "") == 0 && seconds == 3650u * 86400);
    broker.settings.admin_max_lifetime = 36 * 3600;
    CHECK(lifetime(NULL, 36 * 3600, &seconds, "") == 0 && seconds == 36 * 3600);
    seconds = 7;
    CHECK(lifetime(NULL, 36 * 3600 + 1, &seconds, "1d 12h") == -EPERM && seconds == 7);
}

/* The limit counts from the creation, however often the share is extended. */
static void extensions(void)
{
    struct share share = {.broker = &broker};
    uint64_t seconds = 7;

    begin();
    broker.settings.admin_max_lifetime = 100000;
    share.row.created = 5000;
    share.row.ends = 5000 + 95000;
    share.row.deadline_ns = loop_now() + 5000 * 1000000000ull; /* it has lived for 90000 */
    CHECK(lifetime(&share, 9900, &seconds, "") == 0 && seconds == 9900);
    CHECK(lifetime(&share, 10100, &seconds, "in all (admin_max_lifetime)") == -EPERM);
    CHECK(lifetime(&share, 0, &seconds, "in all (admin_max_lifetime)") == -EPERM); /* a day */
    share.row.ends = 5000 + 300000; /* the limit was lowered since */
    CHECK(lifetime(&share, 1, &seconds, "in all") == -EPERM);
    broker.settings.admin_max_lifetime = 0;
    CHECK(lifetime(&share, 1000000, &seconds, "") == 0);
}

static void adding(void)
{
    struct share share = {.broker = &broker};
    struct registry_image has[2] = {{.path = {"a.iso"}}, {.path = {"b.iso"}}};
    CLEANUP_FREE struct image_path *paths = calloc(MESSAGE_IMAGES_MAX, sizeof *paths);
    struct refusal refusal = {0};

    begin();
    broker.settings.max_images = 4;
    share.row.images = has;
    share.row.n_images = 2;
    struct texts two = TEXTS((char *)"c.iso", (char *)"d.iso");
    CHECK(policy_add(&share, &two, paths, &refusal) == 0);
    CHECK_TEXT(paths[1].text, "d.iso");
    struct texts again = TEXTS((char *)"b.iso");
    CHECK(policy_add(&share, &again, paths, &refusal) == -EPERM);
    CHECK(strstr(refusal.sentence, "already") != NULL);
    struct texts three = TEXTS((char *)"c.iso", (char *)"d.iso", (char *)"e.iso");
    CHECK(policy_add(&share, &three, paths, &refusal) == -EPERM);
    CHECK(strstr(refusal.sentence, "5 images") != NULL);
}

TEST_MAIN({"a request that is fine", allowed}, {"users", users}, {"how many shares", counts},
          {"images", images}, {"clients", clients}, {"the host's own address", our_own_address},
          {"clients of others", clients_of_others}, {"protocols", protocols},
          {"lifetimes", lifetimes}, {"extensions", extensions}, {"adding images", adding})
