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
static struct policy_asker asker; /* an administrator, unless ask_as() says otherwise */

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
    asker = (struct policy_asker){0};
    settings_defaults(&broker.settings);
    snprintf(broker.settings.protocols.items[broker.settings.protocols.count++],
             sizeof broker.settings.protocols.items[0], "other");
    define("http", IPPROTO_TCP, 80, 1); /* [ports] puts it on 8080 */
    define("ftp", IPPROTO_TCP, 21, 1);
    define("tftp", IPPROTO_UDP, 21, 1); /* the same number, another transport */
    define("other", IPPROTO_TCP, 8080, 1);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "many%u", i);
        snprintf(broker.settings.protocols.items[broker.settings.protocols.count++],
                 sizeof broker.settings.protocols.items[0], "%s", name);
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

static struct prefix network(const char *text)
{
    struct prefix prefix = {0};

    CHECK(parse_prefix(text, strlen(text), &prefix, NULL) == 0);
    return prefix;
}

static void ask_as(const char *address)
{
    asker = (struct policy_asker){.user = true, .address = network(address).address};
}

static void set_networks(struct settings_prefixes *list, const char *first, const char *second)
{
    *list = (struct settings_prefixes){.items = {network(first)}, .count = 1};
    if (second != NULL) {
        list->items[list->count++] = network(second);
    }
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

    int r = policy_create(&broker, what, &asker, &row, &refusal);
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

    int r = policy_create(&broker, what, &asker, row, &refusal);
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
    CHECK(!row.active && row.mark == 0 && !row.web && row.address.family == 0);
    CHECK(row.born_ns >= now && row.deadline_ns - row.born_ns == 86400000000000u);
    share_free_row(&row);
    ask_as("10.1.2.3");
    r.clients = TEXTS((char *)"10.1.2.3");
    CHECK(is_allowed(&r, &row));
    CHECK(row.web && address_equal(&row.address, &asker.address));
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

/* -- users -- */

static bool asker_is(bool web, uint32_t flags, const char *requester, const char *part)
{
    struct refusal refusal = {0};

    int r = policy_asker(&broker, web, flags, requester, &asker, &refusal);
    if (r < 0) {
        CHECK_TEXT(refusal.field, "requester");
    }
    bool right = r == (part == NULL ? 0 : -EPERM) &&
                 (part == NULL || strstr(refusal.sentence, part) != NULL);
    if (!right) {
        printf("# %d %s\n", r, refusal.sentence);
    }
    return right;
}

static void who_asks(void)
{
    begin();
    set_networks(&broker.settings.trusted_proxies, "10.0.0.7", "fd00:5::/64");
    CHECK(asker_is(false, 0, "", NULL) && !asker.user);
    CHECK(asker_is(false, SHARE_ALLOW_LOCAL, "10.0.0.1", "--as-user"));
    CHECK(asker_is(false, SHARE_AS_USER, "", "does not say"));
    CHECK(asker_is(false, SHARE_AS_USER, "10.0.0.1", NULL) && asker.user);
    CHECK(asker_is(true, 0, "", "does not say"));
    CHECK(asker_is(true, 0, "10.0.0.1", NULL) && asker.user);
    CHECK(asker.address.family == AF_INET && asker.address.bytes[3] == 1);
    CHECK(asker_is(true, 0, "::ffff:10.0.0.1", NULL) && asker.address.family == AF_INET);
    CHECK(asker_is(true, 0, "10.0.0.0/24", "one address"));
    CHECK(asker_is(true, 0, "127.0.0.1", "loopback"));
    CHECK(asker_is(true, 0, "fe80::1", "link-local"));
    CHECK(asker_is(true, 0, "fd00::1%eth0", "zone"));
    CHECK(asker_is(true, 0, "10.0.0.1, 10.0.0.2", "not an IPv4 or IPv6"));
    CHECK(asker_is(true, 0, "unknown", "\"unknown\""));
    CHECK(asker_is(true, 0, "10.0.0.7", "trusted_proxies"));
    CHECK(asker_is(true, 0, "fd00:5::9", "trusted_proxies"));
}

/* What anybody may be given lies in the site's networks. */
static void networks(void)
{
    struct message_share_create r = request();
    struct registry_share row = {0};

    begin();
    for (int user = 0; user < 2; user++) {
        if (user) {
            ask_as("192.0.2.7");
        }
        r.clients = TEXTS((char *)"192.0.2.7");
        CHECK(is_refused(&r, "client", "192.0.2.7"));
        CHECK(is_refused(&r, "client", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fd00::/8"));
        r.clients = TEXTS((char *)"2001:db8::1");
        CHECK(is_refused(&r, "client", "(networks)"));
    }
    asker = (struct policy_asker){0};
    set_networks(&broker.settings.networks, "10.0.0.0/9", "10.128.0.0/9");
    r.clients = TEXTS((char *)"10.0.0.0/8"); /* not in one of them */
    CHECK(is_refused(&r, "client", "(networks)"));
    r.clients = TEXTS((char *)"10.128.0.0/9");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    broker.settings.networks.count = 0; /* everybody */
    r.clients = TEXTS((char *)"192.0.2.7");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
}

static void claims(void)
{
    struct message_share_create r = request();
    struct registry_share row = {0};

    begin();
    ask_as("10.0.0.5");
    r.clients = TEXTS((char *)"10.0.0.5", (char *)"10.1.0.6");
    CHECK(is_refused(&r, "client", "not your own address, 10.0.0.5"));
    CHECK(is_refused(&r, "client", "none (claim)"));
    set_networks(&broker.settings.claim, "10.1.0.0/16", "fd00:1::/64");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    r.clients = TEXTS((char *)"10.1.0.6"); /* for others alone */
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    r.clients = TEXTS((char *)"10.2.0.6");
    CHECK(is_refused(&r, "client", "10.1.0.0/16 fd00:1::/64 (claim)"));
    r.clients = TEXTS((char *)"::ffff:10.0.0.5"); /* his own, in disguise */
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
}

static void web_max_prefix(void)
{
    struct message_share_create r = request();
    struct registry_share row = {0};

    begin();
    ask_as("10.0.0.5");
    set_networks(&broker.settings.claim, "10.1.0.0/16", "fd00:1::/48");
    r.clients = TEXTS((char *)"10.1.0.0/31");
    CHECK(is_refused(&r, "client", "larger than a /32"));
    r.clients = TEXTS((char *)"fd00:1::/127");
    CHECK(is_refused(&r, "client", "larger than a /128"));
    broker.settings.web_max_prefix4 = 24;
    broker.settings.web_max_prefix6 = 64;
    r.clients = TEXTS((char *)"10.1.7.0/24", (char *)"fd00:1::/64");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    r.clients = TEXTS((char *)"10.1.6.0/23");
    CHECK(is_refused(&r, "client", "(web_max_prefix)"));
    r.clients = TEXTS((char *)"fd00:1::/63");
    CHECK(is_refused(&r, "client", "(web_max_prefix)"));
    asker = (struct policy_asker){0};
    r.clients = TEXTS((char *)"10.0.0.0/8");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
}

static void proxies(void)
{
    struct message_share_create r = request();
    struct registry_share row = {0};

    begin();
    set_networks(&broker.settings.trusted_proxies, "10.0.0.7", NULL);
    r.clients = TEXTS((char *)"10.0.0.7");
    CHECK(is_refused(&r, "client", "10.0.0.7 (trusted_proxies)"));
    r.clients = TEXTS((char *)"10.0.0.0/24"); /* an administrator may mean it */
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    ask_as("10.0.0.5");
    set_networks(&broker.settings.claim, "10.0.0.0/8", NULL);
    broker.settings.web_max_prefix4 = 24;
    CHECK(is_refused(&r, "client", "trusted_proxies"));
}

static void local_is_not_for_users(void)
{
    struct message_share_create r = request();
    struct share other = {.broker = &broker, .state = SHARE_ACTIVE, .row = {.local = true}};

    begin();
    r.flags = SHARE_ALLOW_LOCAL;
    r.clients = TEXTS((char *)"10.0.0.5");
    ask_as("10.0.0.5");
    CHECK(is_refused(&r, "client", "--allow-local"));
    asker = (struct policy_asker){0};
    snprintf(other.row.user.text, sizeof other.row.user.text, "bob");
    broker.shares = &other;
    CHECK(is_refused(&r, "client", "share of bob serves this host itself"));
}

/* Shares of users, so many of them preparing. */
static void put_shares(struct share *shares, uint32_t count, uint32_t web, uint32_t preparing)
{
    for (uint32_t i = 0; i < count; i++) {
        shares[i] =
            (struct share){.broker = &broker,
                           .next = i + 1 < count ? &shares[i + 1] : NULL,
                           .state = i < preparing ? SHARE_PREPARING : SHARE_ACTIVE,
                           .row = {.web = i < web, .address = network("fd00:9::9").address}};
        snprintf(shares[i].row.user.text, sizeof shares[i].row.user.text, "u%u", i);
    }
    broker.shares = count > 0 ? shares : NULL;
    broker.n_shares = count;
}

/* Three quarters are for users; administrators always get in. */
static void the_part_of_users(void)
{
    static struct share shares[8];
    static const struct {
        uint32_t limit, count, web;
        bool user, admin; /* may have one more */
    } rows[] = {{8, 5, 5, true, true},   {8, 6, 6, false, true},  {8, 7, 6, false, true},
                {8, 7, 5, true, true},   {8, 8, 5, false, false}, {1, 0, 0, true, true},
                {1, 1, 1, false, false}, {2, 1, 1, false, true},  {3, 1, 1, true, true},
                {3, 2, 2, false, true},  {0, 8, 8, true, true}};
    struct message_share_create r = request();

    for (size_t i = 0; i < ARRAY_SIZE(rows) * 4; i++) {
        struct registry_share row = {0};
        bool preparing = i % 4 >= 2, user = i % 2 == 1;
        begin();
        broker.settings.max_per_requester = 0;
        *(preparing ? &broker.settings.max_preparing : &broker.settings.max_shares) =
            rows[i / 4].limit;
        *(preparing ? &broker.settings.max_shares : &broker.settings.max_preparing) = 0;
        put_shares(shares, rows[i / 4].count, rows[i / 4].web, preparing ? 8 : 0);
        r.clients = TEXTS((char *)"10.0.0.5");
        if (user) {
            ask_as("10.0.0.5");
        }
        if (user ? rows[i / 4].user : rows[i / 4].admin) {
            CHECK(is_allowed(&r, &row));
            share_free_row(&row);
        } else {
            CHECK(is_refused(&r, "", preparing ? "(max_preparing)" : "(max_shares)"));
        }
    }
}

static void shares_of_a_requester(void)
{
    struct message_share_create r = request();
    struct registry_share row = {0};
    struct share shares[4];

    begin();
    put_shares(shares, 4, 3, 1);
    r.clients = TEXTS((char *)"fd00:9::5");
    ask_as("fd00:9::5"); /* the same /64 as the three */
    CHECK(is_refused(&r, "requester", "fd00:9::5 has asked for 3 shares"));
    CHECK(is_refused(&r, "requester", "/64"));
    shares[0].state = SHARE_ENDING;
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    shares[0].state = SHARE_ACTIVE;
    r.clients = TEXTS((char *)"fd00:9:0:1::5");
    ask_as("fd00:9:0:1::5");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    for (int i = 0; i < 3; i++) {
        shares[i].row.address = network("10.0.0.5").address;
    }
    r.clients = TEXTS((char *)"10.0.0.5");
    ask_as("10.0.0.5");
    CHECK(is_refused(&r, "requester", "3 are the limit of this site (max_per_requester)"));
    r.clients = TEXTS((char *)"10.0.0.6"); /* IPv4 addresses are counted one by one */
    ask_as("10.0.0.6");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    broker.settings.max_per_requester = 0;
    r.clients = TEXTS((char *)"10.0.0.5");
    ask_as("10.0.0.5");
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
    ask_as("fd77::7"); /* which he may not do */
    CHECK(is_refused(&r, "client", "this host itself."));
    asker = (struct policy_asker){0};
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
    /* A user may have his own address out of it, and nothing else that overlaps. */
    ask_as("10.1.2.3");
    r.clients = TEXTS((char *)"10.1.2.3");
    CHECK(is_allowed(&r, &row));
    share_free_row(&row);
    set_networks(&broker.settings.claim, "10.0.0.0/8", NULL);
    broker.settings.web_max_prefix4 = 24;
    r.clients = TEXTS((char *)"10.1.2.4");
    CHECK(is_refused(&r, "client", "overlaps with the addresses of another share."));
    r.clients = TEXTS((char *)"10.9.9.0/24");
    CHECK(is_refused(&r, "client", "overlaps with the addresses of another share."));
    ask_as("10.9.9.9");
    r.clients = TEXTS((char *)"10.9.9.9");
    CHECK(is_refused(&r, "client", "Your address 10.9.9.9 is in a share already."));
    other.row.web = true;
    CHECK(is_refused(&r, "client", "in a share already; release it there first."));
    asker = (struct policy_asker){0};
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
    CHECK(is_refused(&r, "protocol", "there are: http, ftp"));
    snprintf(broker.settings.protocols.items[0], 32, "else"); /* http is defined, not on offer */
    r.protocols = TEXTS((char *)"http");
    CHECK(is_refused(&r, "protocol", "there are: ftp"));
    snprintf(broker.settings.protocols.items[0], 32, "http");
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

    int r = policy_lifetime(&broker, share, asker.user, wanted, seconds, &refusal);
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

static void lifetimes_of_users(void)
{
    uint64_t seconds = 7;

    begin();
    asker.user = true;
    broker.settings.admin_max_lifetime = 1;
    CHECK(lifetime(NULL, 0, &seconds, "") == 0 && seconds == 86400);
    CHECK(lifetime(NULL, 72 * 3600, &seconds, "") == 0 && seconds == 72 * 3600);
    CHECK(lifetime(NULL, 72 * 3600 + 1, &seconds, "limit, 3d (max_lifetime)") == -EPERM);
    broker.settings.max_lifetime = 0;
    CHECK(lifetime(NULL, 3650u * 86400, &seconds, "") == 0);
}

/* The limit counts from the creation, however often the share is extended, and by the clock that
 * nobody sets. */
static void extensions(void)
{
    static const char *const settings[] = {"in all (admin_max_lifetime)", "in all (max_lifetime)"};
    struct share share = {.broker = &broker};
    uint64_t seconds = 7;

    for (int user = 0; user < 2; user++) {
        begin();
        asker.user = user;
        uint64_t *limit =
            user ? &broker.settings.max_lifetime : &broker.settings.admin_max_lifetime;
        *limit = 100000;
        share.row.born_ns = loop_now() - 90000 * 1000000000ull; /* before this boot: no matter */
        share.row.created = 5000;                               /* wall time says something else */
        share.row.ends = 6000;
        share.row.deadline_ns = loop_now() + 5000 * 1000000000ull;
        CHECK(lifetime(&share, 9900, &seconds, "") == 0 && seconds == 9900);
        CHECK(lifetime(&share, 10100, &seconds, settings[user]) == -EPERM);
        CHECK(lifetime(&share, 0, &seconds, settings[user]) == -EPERM); /* a day */
        *limit = 80000;                                                 /* it was lowered since */
        CHECK(lifetime(&share, 1, &seconds, settings[user]) == -EPERM);
        *limit = 0;
        CHECK(lifetime(&share, 1000000, &seconds, "") == 0);
    }
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
          {"who asks", who_asks}, {"the site's networks", networks}, {"claims", claims},
          {"networks of users", web_max_prefix}, {"trusted proxies", proxies},
          {"--allow-local is not for users, nor for two", local_is_not_for_users},
          {"the part of users", the_part_of_users},
          {"shares of a requester", shares_of_a_requester}, {"images", images},
          {"clients", clients}, {"the host's own address", our_own_address},
          {"clients of others", clients_of_others}, {"protocols", protocols},
          {"lifetimes", lifetimes}, {"lifetimes of users", lifetimes_of_users},
          {"extensions", extensions}, {"adding images", adding})
