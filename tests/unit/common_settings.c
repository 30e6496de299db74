/* settings.h: defaults, every key, the checks across keys, and the file that is installed. */
#include "test.h"

#include "cleanup.h"
#include "settings.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>

/* broker/cdss.conf of the source tree that this file belongs to. */
static char *installed_file(size_t *ret_length)
{
    char here[PATH_MAX], path[PATH_MAX + 32], *data = NULL;
    CHECK(text_copy(here, sizeof here, __FILE__) == 0);
    snprintf(path, sizeof path, "%s/../../broker/cdss.conf", dirname(here));
    CHECK(text_read_file(AT_FDCWD, path, 100000, &data, ret_length) == 0);
    return data;
}

static void check_prefixes(const struct settings_prefixes *prefixes, const char *want)
{
    CLEANUP_TEXT struct text got = {0};
    text_add(&got, "");
    for (uint32_t i = 0; i < prefixes->count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_format(&prefixes->items[i], text);
        text_format(&got, "%s%s", i > 0 ? " " : "", text);
    }
    CHECK_TEXT(got.data, want);
}

static void check_words(const struct settings_words *words, const char *want)
{
    CLEANUP_TEXT struct text got = {0};
    text_add(&got, "");
    for (uint32_t i = 0; i < words->count; i++) {
        text_format(&got, "%s%s", i > 0 ? " " : "", words->items[i]);
    }
    CHECK_TEXT(got.data, want);
}

static void default_places(void)
{
    static struct settings s;
    settings_defaults(&s);
    CHECK_TEXT(s.images, "/srv/cdss/images");
    CHECK_TEXT(s.shares, "/srv/cdss/shares");
    CHECK_TEXT(s.socket, "/run/cdss/broker.sock");
    CHECK_TEXT(s.run, "/run/cdss");
    CHECK_TEXT(s.state, "/var/lib/cdss");
    CHECK_TEXT(s.templates, "/usr/share/cdss/templates");
    CHECK_TEXT(s.admin_group, "cdss-admin");
    check_words(&s.web_users, "cdss-web");
    CHECK(s.history == 365 * 86400);
    CHECK(s.log_format == LOG_FORMAT_TEXT);
    CHECK(s.ports.first == 21000 && s.ports.last == 29999);
    CHECK(s.passive.first == 30000 && s.passive.last == 31999);
    CHECK(s.mark_prefix == 0x5b && s.nflog == 5 && s.max_flows == 2000);
    CHECK(s.n_public_ports == 1 && s.public_ports[0].port == 8080);
    CHECK_TEXT(s.public_ports[0].protocol.text, "http");
    check_words(&s.readers, "kernel fuseiso");
    check_words(&s.filesystems, "iso9660 udf squashfs erofs");
    CHECK_TEXT(s.root, "/");
    CHECK(s.uid_first == 2100000000 && s.uid_per_share == 4);
}

static void default_policy(void)
{
    static struct settings s;
    settings_defaults(&s);
    CHECK(s.lifetime == 24 * 3600 && s.max_lifetime == 72 * 3600 && s.admin_max_lifetime == 0);
    check_prefixes(&s.networks, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fd00::/8");
    check_prefixes(&s.claim, "");
    CHECK(s.web_max_prefix4 == 32 && s.web_max_prefix6 == 128);
    check_prefixes(&s.trusted_proxies, "");
    check_words(&s.protocols, "http ftp tftp nfs smb afp");
    CHECK(s.max_shares == 1000 && s.max_images == 64 && s.max_clients == 64);
    CHECK(s.max_mounts == 2000 && s.max_per_requester == 3 && s.max_preparing == 8);
}

/* Parses; *ret is the defaults when it is refused, *error says why. */
static int parse(const char *text, struct settings *ret, struct conf_error *error)
{
    settings_defaults(ret);
    error->text[0] = '\0';
    return settings_parse("cdss.conf", text, strlen(text), ret, error);
}

static bool is_default(const struct settings *settings)
{
    static struct settings defaults;
    settings_defaults(&defaults);
    return memcmp(settings, &defaults, sizeof defaults) == 0;
}

static void nothing_is_the_defaults(void)
{
    static struct settings s;
    struct conf_error error;
    CHECK(parse("", &s, &error) == 0 && is_default(&s));
    CHECK(parse("# c\n[web]\nlisten=[::]:80\nanything = at all\n", &s, &error) == 0);
    CHECK(is_default(&s));
    /* What the broker needs of that section is read, and checked. */
    CHECK(parse("[web]\ntrusted_proxies=10.0.0.7 fd00:5::/64\n", &s, &error) == 0);
    check_prefixes(&s.trusted_proxies, "10.0.0.7 fd00:5::/64");
    CHECK(parse("[web]\ntrusted_proxies=10.0.0.7/8\n", &s, &error) == -EINVAL);
    CHECK_TEXT(error.text, "cdss.conf:2: [web] trusted_proxies: \"10.0.0.7/8\" has bits set behind "
                           "its prefix length");
}

static void every_key(void)
{
    static struct settings s;
    struct conf_error error;
    CHECK(parse("[repository]\nimages=/i\nshares=/s\n"
                "[broker]\nsocket=/r/b\nrun=/r\nstate=/v\ntemplates=/t\nadmin_group=adm\n"
                "web_users=www-data _www\nlog_format=json\n"
                "[network]\nports=2000-2999\npassive=3000-3000\nmark_prefix=0xFf\n"
                "[ports]\nftp=2121\nhttp=80\nftp=21\n"
                "[policy]\nlifetime=1h\nmax_lifetime=0\nadmin_max_lifetime=3650d\n"
                "networks=\t10.0.0.0/8  ::ffff:192.168.0.0/112 \nclaim=fd00::/64\n"
                "web_max_prefix=24/64\nprotocols=rsync\nmax_shares=1\nmax_images=2\n"
                "max_clients=3\nmax_mounts=4\nmax_per_requester=5\nmax_preparing=6\n"
                "[mount]\nreaders=fuseiso\nfilesystems=ext vfat\n"
                "[sandbox]\nroot=/srv/root\n[uids]\nfirst=65536\nper_share=8\n",
                &s, &error) == 0);
    CHECK_TEXT(error.text, "");
    CHECK_TEXT(s.images, "/i");
    CHECK_TEXT(s.shares, "/s");
    CHECK_TEXT(s.socket, "/r/b");
    CHECK_TEXT(s.run, "/r");
    CHECK_TEXT(s.state, "/v");
    CHECK_TEXT(s.templates, "/t");
    CHECK_TEXT(s.admin_group, "adm");
    check_words(&s.web_users, "www-data _www");
    CHECK(s.log_format == LOG_FORMAT_JSON);
    CHECK(s.ports.first == 2000 && s.ports.last == 2999);
    CHECK(s.passive.first == 3000 && s.passive.last == 3000);
    CHECK(s.mark_prefix == 255);
    CHECK(s.n_public_ports == 2 && s.public_ports[0].port == 80 && s.public_ports[1].port == 21);
    CHECK(s.lifetime == 3600 && s.max_lifetime == 0);
    CHECK(s.admin_max_lifetime == UINT64_C(3650) * 86400);
    check_prefixes(&s.networks, "10.0.0.0/8 192.168.0.0/16");
    check_prefixes(&s.claim, "fd00::/64");
    CHECK(s.web_max_prefix4 == 24 && s.web_max_prefix6 == 64);
    check_words(&s.protocols, "rsync");
    CHECK(s.max_shares == 1 && s.max_images == 2 && s.max_clients == 3 && s.max_mounts == 4);
    CHECK(s.max_per_requester == 5 && s.max_preparing == 6);
    check_words(&s.readers, "fuseiso");
    check_words(&s.filesystems, "ext vfat");
    CHECK_TEXT(s.root, "/srv/root");
    CHECK(s.uid_first == 65536 && s.uid_per_share == 8);
}

static void empty_and_zero(void)
{
    static struct settings s;
    struct conf_error error;
    CHECK(parse("[policy]\nnetworks=\nclaim=\nmax_shares=0\nmax_images=0\nmax_clients=0\n"
                "max_mounts=0\n[mount]\nreaders=\nfilesystems=\n[broker]\nweb_users=\n"
                "admin_group=\n",
                &s, &error) == 0);
    CHECK(s.networks.count == 0 && s.claim.count == 0 && s.web_users.count == 0);
    CHECK(s.readers.count == 0 && s.filesystems.count == 0);
    CHECK_TEXT(s.admin_group, "");
    CHECK(s.max_shares == 0 && s.max_mounts == 0);
    CHECK(s.max_images == 64 && s.max_clients == 64); /* what a message holds */
    CHECK(settings_uid_blocks(&s) == 65536);
}

static void marks(void)
{
    static const struct {
        const char *value;
        uint32_t want; /* 0: refused */
    } cases[] = {{"1", 1},     {"255", 255}, {"91", 91},  {"0x5b", 91}, {"0x1", 1},
                 {"0x0F", 15}, {"0", 0},     {"256", 0},  {"0x0", 0},   {"0x00", 0},
                 {"0x100", 0}, {"0x", 0},    {"5b", 0},   {"", 0},      {"-1", 0},
                 {"0x5g", 0},  {"0X5b", 0},  {"0x-1", 0}, {"0x5b 1", 0}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        static struct settings s;
        struct conf_error error;
        char text[64];
        snprintf(text, sizeof text, "[network]\nmark_prefix=%s\n", cases[i].value);
        int result = parse(text, &s, &error);
        CHECK(result == (cases[i].want != 0 ? 0 : -EINVAL));
        CHECK(s.mark_prefix == (cases[i].want != 0 ? cases[i].want : 0x5b));
    }
}

static void refused(void)
{
    static const char *const cases[][2] = {
        {"[nothing]\nx=1\n", "cdss.conf:2: [nothing] x: there is no such section"},
        {"[policy]\nmax=1\n", "cdss.conf:2: [policy] max: there is no such key"},
        {"[Policy]\nlifetime=1h\n", "cdss.conf:2: [Policy] lifetime: there is no such section"},
        {"[repository] images=/a\n", "cdss.conf:1: a section is written [name]"},
        {"[repository]\nimages=a\n",
         "cdss.conf:2: [repository] images: \"a\" is not an absolute path"},
        {"[repository]\nimages=\n",
         "cdss.conf:2: [repository] images: \"\" is not an absolute path"},
        {"[broker]\nlog_format=xml\n",
         "cdss.conf:2: [broker] log_format: \"xml\" is neither text nor json"},
        {"[broker]\nweb_users=a a\n", "cdss.conf:2: [broker] web_users: \"a\" is there twice"},
        {"[broker]\nadmin_group=012345678901234567890123456789012\n",
         "cdss.conf:2: [broker] admin_group: is longer than 32 bytes"},
        {"[network]\nports=21000\n",
         "cdss.conf:2: [network] ports: \"21000\" is not FIRST-LAST, from 1024 to 65535"},
        {"[network]\nports=3000-2000\n",
         "cdss.conf:2: [network] ports: \"3000-2000\" is not FIRST-LAST, from 1024 to 65535"},
        {"[network]\nports=80-90\n",
         "cdss.conf:2: [network] ports: \"80-90\" is not FIRST-LAST, from 1024 to 65535"},
        {"[network]\nports=60000-65536\n",
         "cdss.conf:2: [network] ports: \"60000-65536\" is not FIRST-LAST, from 1024 to 65535"},
        {"[network]\nports=21000 - 29999\n",
         "cdss.conf:2: [network] ports: \"21000 - 29999\" is not FIRST-LAST, from 1024 to 65535"},
        {"[ports]\nhttp=0\n", "cdss.conf:2: [ports] http: \"0\" is not a port: it is too small"},
        {"[ports]\nhttp=65536\n",
         "cdss.conf:2: [ports] http: \"65536\" is not a port: it is too large"},
        {"[ports]\nHTTP=80\n",
         "cdss.conf:2: [ports] HTTP: the protocol's name has characters other than a-z 0-9 -"},
        {"[policy]\nlifetime=0\n",
         "cdss.conf:2: [policy] lifetime: \"0\" is shorter than a second"},
        {"[policy]\nnetworks=10.0.0.1/8\n",
         "cdss.conf:2: [policy] networks: \"10.0.0.1/8\" has bits set behind its prefix length"},
        {"[policy]\nnetworks=10.0.0.0/8,fd00::/8\n",
         "cdss.conf:2: [policy] networks: \"10.0.0.0/8,fd00::/8\" has a prefix length that is not "
         "a "
         "number from 0 to 32, or to 128 for IPv6"},
        {"[policy]\nweb_max_prefix=32\n",
         "cdss.conf:2: [policy] web_max_prefix: \"32\" is not two prefix lengths like 32/128"},
        {"[policy]\nweb_max_prefix=0/128\n",
         "cdss.conf:2: [policy] web_max_prefix: \"0/128\" is not two prefix lengths like 32/128"},
        {"[policy]\nweb_max_prefix=33/128\n",
         "cdss.conf:2: [policy] web_max_prefix: \"33/128\" is not two prefix lengths like 32/128"},
        {"[policy]\nprotocols=\n", "cdss.conf:2: [policy] protocols: needs at least 1"},
        {"[policy]\nprotocols=http ../x\n",
         "cdss.conf:2: [policy] protocols: \"../x\" has characters other than a-z 0-9 -"},
        {"[policy]\nmax_images=65\n", "cdss.conf:2: [policy] max_images: 65 is above 64"},
        {"[mount]\nreaders=kernel magic\n",
         "cdss.conf:2: [mount] readers: \"magic\" is not one of kernel fuseiso"},
        {"[mount]\nfilesystems=ext4\n", "cdss.conf:2: [mount] filesystems: \"ext4\" is not one of "
                                        "iso9660 udf squashfs erofs ext vfat"},
        {"[uids]\nfirst=1000\n", "cdss.conf:2: [uids] first: 1000 is below 65536"},
        {"[uids]\nper_share=3\n", "cdss.conf:2: [uids] per_share: 3 is below 4"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        static struct settings s;
        struct conf_error error;
        CHECK(parse(cases[i][0], &s, &error) == -EINVAL);
        CHECK_TEXT(error.text, cases[i][1]);
        CHECK(is_default(&s));
    }
}

static void across_keys(void)
{
    static const char *const cases[][2] = {
        {"[network]\npassive=29999-31000\n",
         "cdss.conf: [network] passive: these ports overlap those of [network] ports"},
        {"[network]\nports=20000-40000\n",
         "cdss.conf: [network] passive: these ports overlap those of [network] ports"},
        {"[network]\nports=8080-9000\n", "cdss.conf: [ports] http: 8080 lies in [network] ports"},
        {"[ports]\nftp=31999\n", "cdss.conf: [ports] ftp: 31999 lies in [network] passive"},
        {"[policy]\nlifetime=73h\n",
         "cdss.conf: [policy] lifetime: is longer than [policy] max_lifetime"},
        {"[policy]\nadmin_max_lifetime=1h\n",
         "cdss.conf: [policy] lifetime: is longer than [policy] admin_max_lifetime"},
        {"[uids]\nfirst=4294967295\n",
         "cdss.conf: [uids] first: 4096 blocks of 4 uids and one more would end at "
         "4294983679, above the last uid"},
        {"[repository]\nshares=/srv/cdss/images/shares\n",
         "cdss.conf: [repository] shares: must lie beside [repository] images, neither in the "
         "other"},
        {"[repository]\nshares=/srv/cdss\n", "cdss.conf: [repository] shares: must lie beside "
                                             "[repository] images, neither in the other"},
        {"[repository]\nshares=/srv/cdss/images/\n",
         "cdss.conf: [repository] shares: must lie beside [repository] images, neither in the "
         "other"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        static struct settings s;
        struct conf_error error;
        CHECK(parse(cases[i][0], &s, &error) == -EINVAL);
        CHECK_TEXT(error.text, cases[i][1]);
        CHECK(is_default(&s));
    }
}

static void just_inside(void)
{
    static const char *const cases[] = {
        "[network]\nports=21000-29998\npassive=29999-31999\n",
        "[ports]\nftp=32000\nx=20999\n",
        "[policy]\nlifetime=72h\nadmin_max_lifetime=72h\n",
        "[policy]\nlifetime=3650d\nmax_lifetime=0\n",
        "[repository]\nshares=/srv/cdss/images2\n",
        "[uids]\nfirst=4294950909\n", /* the uid behind the last block is 2^32 - 3 */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        static struct settings s;
        struct conf_error error;
        CHECK(parse(cases[i], &s, &error) == 0);
        CHECK_TEXT(error.text, "");
    }
    static struct settings s;
    struct conf_error error;
    CHECK(parse("[uids]\nfirst=4294950910\n", &s, &error) == -EINVAL);
}

static void many_items(void)
{
    CLEANUP_TEXT struct text ports = {0}, words = {0}, networks = {0};
    text_add(&ports, "[ports]\n");
    text_add(&words, "[policy]\nprotocols=");
    text_add(&networks, "[policy]\nclaim=");
    for (int i = 0; i < SETTINGS_LIST_MAX; i++) {
        text_format(&ports, "p%d=%d\n", i, i + 1);
        text_format(&words, "p%d ", i);
        text_format(&networks, "10.0.0.%d ", i);
    }
    static struct settings s;
    struct conf_error error;
    CHECK(parse(words.data, &s, &error) == 0 && s.protocols.count == SETTINGS_LIST_MAX);
    CHECK(parse(networks.data, &s, &error) == 0 && s.claim.count == SETTINGS_LIST_MAX);
    text_add(&words, "more");
    text_add(&networks, "10.1.0.0");
    CHECK(parse(words.data, &s, &error) == -EINVAL);
    CHECK(strstr(error.text, "one too many") != NULL);
    CHECK(parse(networks.data, &s, &error) == -EINVAL);
    CHECK(parse(ports.data, &s, &error) == -EINVAL); /* 32 of them, and http */
    CHECK_TEXT(error.text, "cdss.conf:33: [ports] p31: is one too many: 32 are allowed");
}

static void installed_as_it_is(void)
{
    size_t length = 0;
    CLEANUP_FREE char *text = installed_file(&length);
    static struct settings s;
    struct conf_error error = {""};
    CHECK(text != NULL && settings_parse("cdss.conf", text, length, &s, &error) == 0);
    CHECK_TEXT(error.text, "");
    CHECK(is_default(&s));
}

/* A line "#key=value" shows a default; "# words" explains. */
static void installed_uncommented(void)
{
    size_t length = 0;
    CLEANUP_FREE char *text = installed_file(&length);
    CLEANUP_TEXT struct text bare = {0};
    unsigned n_keys = 0;
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t size = strcspn(line, "\n") + 1;
        bool is_key = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';
        text_append(&bare, line + is_key, size - is_key);
        n_keys += is_key;
        line += size;
    }
    static struct settings s;
    struct conf_error error = {""};
    CHECK(settings_parse("cdss.conf", bare.data, bare.length, &s, &error) == 0);
    CHECK_TEXT(error.text, "");
    CHECK(is_default(&s));
    CHECK(n_keys == 34 + 1 + 4); /* the table's, [ports] http, and [web] */
}

static void loading(void)
{
    static struct settings s;
    settings_defaults(&s);
    struct conf_error error = {""};
    CHECK(settings_load("/nonexistent/cdss.conf", &s, &error) == -ENOENT);
    CHECK_TEXT(error.text, "/nonexistent/cdss.conf: No such file or directory");
    CHECK(settings_load("/", &s, &error) == -EISDIR);
    CHECK(settings_load("/dev/zero", &s, &error) == -EFBIG);
    CHECK(is_default(&s));
    CHECK(settings_load("/dev/null", &s, &error) == 0 && is_default(&s));
    char path[] = "/tmp/cdss-unit-settings-XXXXXX";
    CLEANUP_CLOSE int fd = mkostemp(path, O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, "[policy]\nlifetime=1h\n", 21) == 21);
    CHECK(settings_load(path, &s, &error) == 0 && s.lifetime == 3600);
    CHECK(unlink(path) == 0);
}

TEST_MAIN({"default places", default_places}, {"default policy", default_policy},
          {"an empty file is the defaults", nothing_is_the_defaults}, {"every key", every_key},
          {"empty values and 0", empty_and_zero}, {"marks", marks}, {"refused values", refused},
          {"checks across keys", across_keys}, {"just inside the bounds", just_inside},
          {"many items", many_items}, {"the installed file is the defaults", installed_as_it_is},
          {"the installed file shows the defaults", installed_uncommented}, {"loading", loading})
