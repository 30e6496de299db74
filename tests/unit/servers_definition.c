/* server.conf: what is accepted, what is refused and in which words, and the shipped templates. */
#include "definition.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINIMUM "[server]\nname=ftp\npublic=tcp/21\nstart=connection\nprogram=/usr/sbin/vsftpd\n"

static int parse(const char *text, struct definition *ret, struct conf_error *ret_error)
{
    ret_error->text[0] = '\0';
    return definition_parse("ftp", text, strlen(text), ret, ret_error);
}

static void test_minimum(void)
{
    struct definition definition;
    struct conf_error error;
    CHECK(parse(MINIMUM, &definition, &error) == 0);
    CHECK_TEXT(definition.name.text, "ftp");
    CHECK_TEXT(definition.title, "ftp");
    CHECK(definition.n_ports == 1 && definition.ports[0].transport == IPPROTO_TCP);
    CHECK(definition.ports[0].port == 21 && definition.start == START_CONNECTION);
    CHECK(!definition.network_host && !definition.as_root && definition.check == NULL);
    CHECK(definition.idle == 60 && definition.max_processes == 32 && definition.order == 100);
    CHECK_TEXT(definition.helper, "");
    definition_clear(&definition);
}

static void test_everything(void)
{
    struct definition definition;
    struct conf_error error;
    static const char text[] =
        "; a comment\n[server]\nname=ftp\ntitle=File transfer\norder=7\n"
        "public=tcp/2049 udp/2049\ttcp/111\nstart=listen\nnetwork=host\nuser=root\n"
        "program=A={{user}} /usr/sbin/x -i {{idle}} {{config}}/{{port}}\ncheck=/usr/sbin/x -t\n"
        "config=a.conf b.conf\nhelper=ftp\nidle=2m\nmax_processes=5\n"
        "[show]\nurl=ftp://{{host}}:{{port}}/{{image|url}}\nurl=ftp://{{address}}/{{contents}}/\n"
        "mount location=\"{{contents|quoted}}\"\n";
    CHECK(parse(text, &definition, &error) == 0);
    CHECK_TEXT(error.text, "");
    CHECK_TEXT(definition.title, "File transfer");
    CHECK(definition.order == 7 && definition.n_ports == 3 && definition.start == START_LISTEN);
    CHECK(definition.ports[1].transport == IPPROTO_UDP && definition.ports[2].port == 111);
    CHECK(definition.network_host && definition.as_root && definition.n_configs == 2);
    CHECK_TEXT(definition.configs[1].name, "b.conf");
    CHECK_TEXT(definition.program, "A={{user}} /usr/sbin/x -i {{idle}} {{config}}/{{port}}");
    CHECK_TEXT(definition.check, "/usr/sbin/x -t");
    CHECK_TEXT(definition.helper, "ftp");
    CHECK(definition.idle == 120 && definition.max_processes == 5 && definition.n_shows == 3);
    CHECK_TEXT(definition.shows[1].label, "url");
    CHECK_TEXT(definition.shows[1].text, "ftp://{{address}}/{{contents}}/");
    definition_clear(&definition);
}

/* Each is added to the minimum, or stands alone; `part` has to be in the error's text. */
static void test_refused(void)
{
    static const struct {
        bool alone;
        const char *text, *part;
    } rows[] = {
        {true, "", "name is not the folder's name"},
        {true, "[server]\nname=http\n", "name is not the folder's name"},
        {true, "[server]\nname=ftp\nstart=listen\nprogram=/x\n", "public is missing"},
        {true, "[server]\nname=ftp\npublic=tcp/1\nprogram=/x\n", "start is missing"},
        {true, "[server]\nname=ftp\npublic=tcp/1\nstart=listen\n", "program is missing"},
        {true, "[server]\nname=ftp\npublic=udp/1\nstart=connection\nprogram=/x\n", "TCP ports"},
        {true, "[server]\nname=ftp\npublic=tcp/1\nstart=datagram\nprogram=/x\n", "UDP ports"},
        {true, "[server]\npublic=tcp/0\n", "the port"},
        {true, "[server]\npublic=tcp/65536\n", "the port"},
        {true, "[server]\npublic=sctp/5\n", "tcp/PORT"},
        {true, "[server]\npublic=tcp/\n", "tcp/PORT"},
        {true, "[server]\npublic=tcp/5 tcp/5\n", "twice"},
        {true, "[server]\nprogram=vsftpd /x\n", "absolute path"},
        {true, "[server]\nprogram=A=1\n", "absolute path"},
        {true, "[server]\nprogram=/x {{host}}\n", "program"},
        {true, "[server]\nprogram=/x {{nosuch}}\n", "program"},
        {true, "[server]\nprogram=/x {{idle\n", "program"},
        {false, "check=/x {{image}}\n", "check"},
        {false, "name=ftp\n", "is given twice"},
        {false, "start=inetd\n", "is given twice"},
        {true, "[server]\nstart=inetd\n", "is none of connection datagram listen"},
        {false, "network=bridge\n", "is none of none host"},
        {false, "user=nobody\n", "is none of share root"},
        {false, "helper=sip\n", "is none of ftp tftp"},
        {false, "config=../x\n", "is no plain file name"},
        {false, "config=.hidden\n", "is no plain file name"},
        {false, "config=server.conf\n", "is the definition itself"},
        {false, "config=a b c d e\n", "more than 4"},
        {false, "idle=2d\n", "longer than a day"},
        {false, "idle=0\n", "idle"},
        {false, "max_processes=0\n", "max_processes"},
        {false, "title=0123456789012345678901234567890123\n", "title"},
        {false, "surprise=1\n", "surprise"},
        {false, "[other]\nkey=1\n", "other"},
        {false, "[show]\na={{tree}}\n", "[show] a"},
        {false, "[show]\na={{image}} {{contents}}\n", "both"},
        {false, "[show]\na={{image|shell}}\n", "[show] a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct definition definition;
        struct conf_error error;
        char text[512];
        snprintf(text, sizeof text, "%s%s", rows[i].alone ? "" : MINIMUM, rows[i].text);
        CHECK(parse(text, &definition, &error) < 0);
        CHECK(strstr(error.text, "ftp/server.conf") == error.text);
        if (strstr(error.text, rows[i].part) == NULL) {
            CHECK_TEXT(error.text, rows[i].part);
        }
    }
}

/* ---- directories ---- */

static void write_text(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void make_folder(const char *directory, const char *folder, const char *port,
                        const char *more)
{
    char path[256], text[512];
    snprintf(path, sizeof path, "%s/%s", directory, folder);
    CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
    snprintf(text, sizeof text,
             "[server]\nname=%s\npublic=tcp/%s\nstart=listen\nprogram=/bin/true\n%s", folder, port,
             more);
    write_text(path, "server.conf", text);
}

static void remove_all(const char *directory)
{
    static const char *const names[] = {
        "b/server.conf", "b/b.conf", "a/server.conf", "a/b.conf", "web/page.html", "file", "a", "b",
        "web",           ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        remove(path);
    }
}

static void test_directory(void)
{
    char directory[] = "/tmp/cdss-definitions-XXXXXX", web[64];
    struct definitions *definitions = NULL;
    struct conf_error error = {""};
    CHECK(mkdtemp(directory) != NULL);
    snprintf(web, sizeof web, "%s/web", directory);
    CHECK(mkdir(web, 0700) == 0);
    write_text(web, "page.html", "{{whatever}}");
    write_text(directory, "file", "not a folder");
    make_folder(directory, "b", "1", "order=5\nconfig=b.conf\n");
    make_folder(directory, "a", "2", "order=6\n");

    CHECK(definitions_load(directory, &definitions, &error) == -ENOENT);
    CHECK(definitions == NULL && strstr(error.text, "b/b.conf") != NULL);
    write_text(directory, "b/b.conf", "user = {{nosuch}}\n");
    CHECK(definitions_load(directory, &definitions, &error) == -EINVAL);
    CHECK(strstr(error.text, "b/b.conf") == error.text);
    write_text(directory, "b/b.conf", "user = {{user}}\n");

    CHECK(definitions_load(directory, &definitions, &error) == 0 && definitions->count == 2);
    CHECK_TEXT(definitions->items[0].name.text, "b");
    CHECK_TEXT(definitions->items[0].configs[0].text, "user = {{user}}\n");
    CHECK(definitions_find(definitions, "a") == &definitions->items[1]);
    CHECK(definitions_find(definitions, "web") == NULL);
    definitions_free(definitions);
    definitions = NULL;

    make_folder(directory, "a", "1", "");
    CHECK(definitions_load(directory, &definitions, &error) == -EINVAL);
    CHECK(strstr(error.text, "port 1 is already taken by") != NULL);
    make_folder(directory, "a", "2", "config=b.conf\n");
    write_text(directory, "a/b.conf", "");
    CHECK(definitions_load(directory, &definitions, &error) == -EINVAL);
    CHECK(strstr(error.text, "b.conf is a file of") != NULL);
    CHECK(definitions_load("/nonexistent", &definitions, &error) == -ENOENT);
    CHECK(definitions == NULL);
    remove_all(directory);
    CHECK(rmdir(directory) < 0 && errno == ENOENT);
}

/* Those that are shipped, and the one of the tests. */
static void test_shipped(void)
{
    static const struct {
        const char *directory, *protocol;
    } rows[] = {{"templates", "http"},
                {"templates", "ftp"},
                {"templates", "tftp"},
                {"tests/net/definitions", "rsync"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[1024];
        struct definitions *definitions = NULL;
        struct conf_error error = {""};
        const char *end = strstr(__FILE__, "tests/unit/");
        snprintf(path, sizeof path, "%.*s%s", (int)(end - __FILE__), __FILE__, rows[i].directory);
        CHECK(definitions_load(path, &definitions, &error) == 0);
        CHECK_TEXT(error.text, "");
        CHECK(definitions == NULL || definitions_find(definitions, rows[i].protocol) != NULL);
        definitions_free(definitions);
    }
}

TEST_MAIN({"the least that a definition needs", test_minimum}, {"every key", test_everything},
          {"what is refused", test_refused}, {"a directory", test_directory},
          {"the shipped definitions", test_shipped})
