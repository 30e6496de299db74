/*
 * Calls firewall.h from a script. Reads one command a line from standard input and answers each
 * with one line: "ok", "ok WORD" or "error NAME-OF-ERRNO". One process is one owner of the table.
 *
 *   install [SHARE...]                    names of shares that `share` has defined
 *   share ID MARK UID COUNT CLIENT,... TRANSPORT/PUBLIC/INSTANCE[/HELPER],... MS [local]
 *   add|extend|end|reset|forget ID        extend ID MS
 *   check | uninstall | flush | udp PORT,... | served TRANSPORT/PORT
 *   time ID                               as add, answered with the microseconds that it took
 *   fill COUNT                            adds that many other shares
 */
#include "cleanup.h"
#include "firewall.h"
#include "parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SHARES_MAX   1100
#define CLIENTS_MAX  16
#define SERVICES_MAX 16
#define WORDS_MAX    16

struct share {
    struct firewall_share share;
    struct prefix clients[CLIENTS_MAX];
    struct firewall_service services[SERVICES_MAX];
};

struct tool {
    struct firewall *firewall;
    struct share shares[SHARES_MAX];
    uint32_t n_shares;
    char answer[64];
};

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

static struct share *find(struct tool *tool, const char *id)
{
    for (uint32_t i = 0; i < tool->n_shares; i++) {
        if (strcmp(tool->shares[i].share.id, id) == 0) {
            return &tool->shares[i];
        }
    }
    return NULL;
}

static uint8_t transport(const char *name)
{
    return strcmp(name, "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
}

static int add_client(struct share *share, const char *text)
{
    if (share->share.n_clients == CLIENTS_MAX) {
        return -E2BIG;
    }
    return parse_prefix(text, strlen(text), &share->clients[share->share.n_clients++], NULL);
}

static int add_service(struct share *share, const char *text)
{
    char name[4] = "", helper[8] = "";
    unsigned public_port, instance_port;
    if (share->share.n_services == SERVICES_MAX ||
        sscanf(text, "%3[a-z]/%u/%u/%7[a-z]", name, &public_port, &instance_port, helper) < 3) {
        return -EINVAL;
    }
    share->services[share->share.n_services++] =
        (struct firewall_service){.transport = transport(name),
                                  .public_port = (uint16_t)public_port,
                                  .instance_port = (uint16_t)instance_port,
                                  .helper = strcmp(helper, "ftp") == 0    ? FIREWALL_HELPER_FTP
                                            : strcmp(helper, "tftp") == 0 ? FIREWALL_HELPER_TFTP
                                                                          : FIREWALL_HELPER_NONE};
    snprintf(share->services[share->share.n_services - 1].name, sizeof share->services[0].name,
             "%s", helper[0] != '\0' ? helper : "http");
    return 0;
}

static int add_each(struct share *share, char *list, int (*add)(struct share *, const char *))
{
    char *rest;
    for (char *word = strtok_r(list, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        int error = add(share, word);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int do_share(struct tool *tool, char **words, int count)
{
    if (count < 8 || tool->n_shares == SHARES_MAX) {
        return -EINVAL;
    }
    struct share *share = find(tool, words[1]);
    if (share == NULL) {
        share = &tool->shares[tool->n_shares++];
    }
    *share = (struct share){
        .share = {.mark = (uint32_t)number(words[2]),
                  .uid_first = (uint32_t)number(words[3]),
                  .uid_count = (uint32_t)number(words[4]),
                  .clients = share->clients,
                  .services = share->services,
                  .timeout_ms = number(words[7]),
                  .local = count > 8},
    };
    snprintf(share->share.id, sizeof share->share.id, "%s", words[1]);
    int error = add_each(share, words[5], add_client);
    return error != 0 ? error : add_each(share, words[6], add_service);
}

static int do_install(struct tool *tool, char **words, int count)
{
    struct firewall_share shares[WORDS_MAX];
    for (int i = 1; i < count; i++) {
        const struct share *share = find(tool, words[i]);
        if (share == NULL) {
            return -ESRCH;
        }
        shares[i - 1] = share->share;
    }
    return firewall_install(tool->firewall, shares, (uint32_t)count - 1);
}

static int with_share(struct tool *tool, char **words, int count,
                      int (*call)(struct firewall *, const struct firewall_share *))
{
    struct share *share = count > 1 ? find(tool, words[1]) : NULL;
    if (share == NULL) {
        return -ESRCH;
    }
    if (count > 2) {
        share->share.timeout_ms = number(words[2]);
    }
    return call(tool->firewall, &share->share);
}

static int do_add(struct tool *tool, char **words, int count)
{
    return with_share(tool, words, count, firewall_share_add);
}

static int do_extend(struct tool *tool, char **words, int count)
{
    return with_share(tool, words, count, firewall_share_extend);
}

static int do_end(struct tool *tool, char **words, int count)
{
    return with_share(tool, words, count, firewall_share_end);
}

static int do_reset(struct tool *tool, char **words, int count)
{
    return with_share(tool, words, count, firewall_share_reset);
}

static int do_forget(struct tool *tool, char **words, int count)
{
    return with_share(tool, words, count, firewall_share_forget);
}

static int do_release(struct tool *tool, char **words, int count)
{
    struct share *share = count > 2 ? find(tool, words[1]) : NULL;
    struct prefix client;
    if (share == NULL || parse_prefix(words[2], strlen(words[2]), &client, NULL) < 0) {
        return -ESRCH;
    }
    return firewall_share_release(tool->firewall, &share->share, &client);
}

static int do_time(struct tool *tool, char **words, int count)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int error = do_add(tool, words, count);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long microseconds =
        (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
    snprintf(tool->answer, sizeof tool->answer, " %ld", microseconds);
    return error;
}

static int do_fill(struct tool *tool, char **words, int count)
{
    unsigned long most = count > 1 ? number(words[1]) : 0;
    for (unsigned long i = 0; i < most; i++) {
        char text[6][64];
        snprintf(text[0], sizeof text[0], "f%lx", i);
        snprintf(text[1], sizeof text[1], "0x%lx", 0x5bff0000 + i);
        snprintf(text[2], sizeof text[2], "2100003000");
        snprintf(text[3], sizeof text[3], "172.16.%lu.%lu,172.20.%lu.%lu/32", i / 200, i % 200 + 1,
                 i / 200, i % 200 + 1);
        snprintf(text[4], sizeof text[4], "tcp/8080/%lu,tcp/21/%lu/ftp,udp/69/%lu/tftp",
                 21000 + i * 3, 21001 + i * 3, 21002 + i * 3);
        char *share[] = {words[0], text[0], text[1], text[2], "4", text[3], text[4], "3600000"};
        int error = do_share(tool, share, ARRAY_SIZE(share));
        if (error == 0) {
            error = do_add(tool, share, 2);
        }
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int do_check(struct tool *tool, char **words, int count)
{
    (void)words, (void)count;
    return firewall_check(tool->firewall);
}

static int do_uninstall(struct tool *tool, char **words, int count)
{
    (void)words, (void)count;
    return firewall_uninstall(tool->firewall);
}

static int do_flush(struct tool *tool, char **words, int count)
{
    (void)words, (void)count;
    return firewall_flush_all(tool->firewall);
}

static int do_udp(struct tool *tool, char **words, int count)
{
    uint16_t ports[WORDS_MAX];
    uint32_t n = 0;
    char *rest, *list = count > 1 ? words[1] : (char[]){""};
    for (char *word = strtok_r(list, ",", &rest); word != NULL && n < WORDS_MAX;
         word = strtok_r(NULL, ",", &rest)) {
        ports[n++] = (uint16_t)number(word);
    }
    return firewall_set_public_udp(tool->firewall, ports, n);
}

static int do_served(struct tool *tool, char **words, int count)
{
    char name[4] = "";
    unsigned port;
    bool served;
    if (count < 2 || sscanf(words[1], "%3[a-z]/%u", name, &port) != 2) {
        return -EINVAL;
    }
    int error = firewall_port_served(tool->firewall, transport(name), (uint16_t)port, &served);
    if (error == 0) {
        snprintf(tool->answer, sizeof tool->answer, " %s", served ? "yes" : "no");
    }
    return error;
}

static const struct {
    const char *name;
    int (*run)(struct tool *tool, char **words, int count);
} commands[] = {
    {"install", do_install}, {"share", do_share},   {"add", do_add},
    {"extend", do_extend},   {"end", do_end},       {"reset", do_reset},
    {"forget", do_forget},   {"check", do_check},   {"time", do_time},
    {"fill", do_fill},       {"flush", do_flush},   {"uninstall", do_uninstall},
    {"udp", do_udp},         {"served", do_served}, {"release", do_release},
};

static int run(struct tool *tool, char *line)
{
    char *words[WORDS_MAX], *rest;
    int count = 0;
    for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, " \n", &rest)) {
        words[count++] = word;
    }
    for (size_t i = 0; count > 0 && i < ARRAY_SIZE(commands); i++) {
        if (strcmp(words[0], commands[i].name) == 0) {
            return commands[i].run(tool, words, count);
        }
    }
    return -ENOSYS;
}

int main(int argc, char **argv)
{
    static struct tool tool;
    if (argc != 6) {
        fprintf(stderr,
                "Usage: firewall_tool MARK-PREFIX FIRST-UID LAST-UID LOG-GROUP MAX-FLOWS\n");
        return 2;
    }
    const struct firewall_settings settings = {.mark_prefix = (uint8_t)number(argv[1]),
                                               .passive = {30000, 31999},
                                               .uid_first = (uint32_t)number(argv[2]),
                                               .uid_last = (uint32_t)number(argv[3]),
                                               .log_group = (uint16_t)number(argv[4]),
                                               .max_flows = (uint32_t)number(argv[5])};
    int error = firewall_open(&settings, &tool.firewall);
    if (error != 0) {
        fprintf(stderr, "firewall_tool: %s\n", strerror(-error));
        return 1;
    }
    char line[1024];
    while (fgets(line, sizeof line, stdin) != NULL) {
        tool.answer[0] = 0;
        error = run(&tool, line);
        if (error == 0) {
            printf("ok%s\n", tool.answer);
        } else {
            printf("error %s\n", strerrorname_np(-error));
        }
        fflush(stdout);
    }
    firewall_close(tool.firewall);
    return 0;
}
