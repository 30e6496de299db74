/* Switches of the network stack: ip-sysctl of the kernel's documentation. Read, never written. */
#include "cleanup.h"
#include "doctor_checks.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define CONF "/proc/sys/net/ipv4/conf"

/* From the values of "all" and of the interface. */
typedef bool bad_function(long long all, long long own);

static bool is_no_interface(const char *name)
{
    return name[0] == '.' || strcmp(name, "all") == 0 || strcmp(name, "default") == 0 ||
           strcmp(name, "lo") == 0;
}

/* Appends the interfaces on which a switch is bad, and returns how many there are. */
static unsigned collect(const struct doctor *doctor, const char *key, bad_function *is_bad,
                        struct text *names)
{
    char path[512];
    unsigned count = 0;
    snprintf(path, sizeof path, CONF "/all/%s", key);
    long long all = doctor_read_number(doctor, path, 0);
    int fd = openat(doctor->root_fd, &CONF[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_DIR DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        snprintf(path, sizeof path, CONF "/%s/%s", entry->d_name, key);
        if (!is_no_interface(entry->d_name) && is_bad(all, doctor_read_number(doctor, path, 0))) {
            doctor_add_piece(names, &count, entry->d_name);
        }
    }
    return count;
}

static bool routes_by_source(long long all, long long own)
{
    return all != 0 && own != 0;
}

enum doctor_result doctor_check_source_route(const struct doctor *doctor, struct text *says)
{
    CLEANUP_TEXT struct text names = {0};
    if (collect(doctor, "accept_source_route", routes_by_source, &names) == 0) {
        return doctor_say(says, DOCTOR_OK, "source-routed packets are not accepted");
    }
    return doctor_say(
        says, DOCTOR_WARN,
        "on %s source-routed packets are accepted, with which a stranger can pretend to be a "
        "client (our own rules drop them); set "
        "net.ipv4.conf.all.accept_source_route=0",
        names.data);
}

static bool filters_nothing(long long all, long long own)
{
    return all == 0 && own == 0;
}

enum doctor_result doctor_check_rp_filter(const struct doctor *doctor, struct text *says)
{
    CLEANUP_TEXT struct text names = {0};
    if (collect(doctor, "rp_filter", filters_nothing, &names) == 0) {
        return doctor_say(says, DOCTOR_OK, "packets whose sender cannot be there are dropped");
    }
    return doctor_say(says, DOCTOR_WARN,
                      "on %s packets are taken from senders that cannot be there (rp_filter=0): "
                      "other networks can pretend to be a client of TFTP; set "
                      "net.ipv4.conf.all.rp_filter to 1, or to 2 with several ways out",
                      names.data);
}

static bool routes_loopback(long long all, long long own)
{
    return all != 0 || own != 0;
}

enum doctor_result doctor_check_route_localnet(const struct doctor *doctor, struct text *says)
{
    CLEANUP_TEXT struct text names = {0};
    if (collect(doctor, "route_localnet", routes_loopback, &names) == 0) {
        return doctor_say(says, DOCTOR_OK, "127.0.0.0/8 stays inside of this host");
    }
    return doctor_say(
        says, DOCTOR_WARN,
        "on %s 127.0.0.0/8 is routed (route_localnet=1), so that neighbours can reach what "
        "listens on loopback only; set net.ipv4.conf.all.route_localnet=0 where "
        "nothing needs it",
        names.data);
}

enum doctor_result doctor_check_legacy(const struct doctor *doctor, struct text *says)
{
    CLEANUP_FREE char *four = doctor_read(doctor, "/proc/net/ip_tables_names");
    CLEANUP_FREE char *six = doctor_read(doctor, "/proc/net/ip6_tables_names");
    bool filter = (four != NULL && doctor_has_word(four, "filter")) ||
                  (six != NULL && doctor_has_word(six, "filter"));
    bool nat = (four != NULL && doctor_has_word(four, "nat")) ||
               (six != NULL && doctor_has_word(six, "nat"));
    if (!filter && !nat) {
        return doctor_say(says, DOCTOR_OK, "no rules of the old iptables are loaded");
    }
    return doctor_say(says, DOCTOR_NOTE,
                      "the old iptables has a table %s; where its INPUT drops, it needs '-I INPUT "
                      "-m connmark --mark 0x%02x000000/0xff000000 -j ACCEPT'",
                      filter ? "filter" : "nat", doctor->settings->mark_prefix);
}

enum doctor_result doctor_check_docker(const struct doctor *doctor, struct text *says)
{
    CLEANUP_TEXT struct text found = {0};
    unsigned count = 0;
    if (doctor_exists(doctor, "/sys/class/net/docker0") ||
        doctor_exists(doctor, "/run/docker.sock")) {
        doctor_add_piece(&found, &count, "docker");
    }
    if (doctor_exists(doctor, "/run/firewalld") || doctor_exists(doctor, "/run/firewalld.pid")) {
        doctor_add_piece(&found, &count, "firewalld");
    }
    if (count == 0) {
        return doctor_say(says, DOCTOR_OK, "neither docker nor firewalld is here");
    }
    return doctor_say(says, DOCTOR_NOTE,
                      "found %s: for a share's clients its standard ports win over published "
                      "ports, and a zone must accept what has 'ct status dnat'; rules that flush "
                      "everything ('nft flush ruleset') cut all shares",
                      found.data);
}

enum doctor_result doctor_check_bridge(const struct doctor *doctor, struct text *says)
{
    bool four = doctor_read_number(doctor, "/proc/sys/net/bridge/bridge-nf-call-iptables", 0) != 0;
    bool six = doctor_read_number(doctor, "/proc/sys/net/bridge/bridge-nf-call-ip6tables", 0) != 0;
    if (!four && !six) {
        return doctor_say(says, DOCTOR_OK, "bridged packets do not pass the firewall twice");
    }
    return doctor_say(
        says, DOCTOR_NOTE,
        "packets on bridges pass the firewall too (bridge-nf-call-iptables=1): resets "
        "by rule leave with the wrong port there, so that connections are cut by "
        "socket as well");
}

/* A line of nf_conntrack: "... mark=1526726913 ...". */
struct mark_search {
    uint32_t prefix;
    unsigned count;
};

static bool visit_flow(char *line, void *user_data)
{
    struct mark_search *search = user_data;
    const char *mark = strstr(line, " mark=");
    search->count += mark != NULL && strtoul(mark + 6, NULL, 10) >> 24 == search->prefix;
    return false;
}

/* Shares mark their own connections: only without any share these are somebody else's. */
static enum doctor_result say_marked(const struct doctor *doctor, struct text *says,
                                     const struct mark_search *search)
{
    const struct message_status *broker = doctor->broker;
    if (broker == NULL) {
        return doctor_say(says, DOCTOR_NOTE,
                          "%u connections carry a mark 0x%02x......: shares do so, but the broker "
                          "does not say whether there are any; look again when it runs",
                          search->count, search->prefix);
    }
    if (broker->active > 0 || broker->preparing > 0 || broker->ending > 0) {
        return doctor_say(says, DOCTOR_OK, "%u connections of shares carry a mark 0x%02x......",
                          search->count, search->prefix);
    }
    return doctor_say(
        says, DOCTOR_WARN,
        "%u connections carry a mark 0x%02x...... although there is no share: another "
        "program uses such marks; choose another [network] mark_prefix",
        search->count, search->prefix);
}

enum doctor_result doctor_check_mark(const struct doctor *doctor, struct text *says)
{
    struct mark_search search = {.prefix = doctor->settings->mark_prefix};
    CLEANUP_FREE char *flows = doctor_read(doctor, "/proc/net/nf_conntrack");
    if (flows == NULL) {
        return doctor_say(says, DOCTOR_NOTE,
                          "whether another program marks connections with 0x%02x...... cannot be "
                          "seen here; if one does, choose another [network] mark_prefix",
                          search.prefix);
    }
    doctor_each_line(flows, visit_flow, &search);
    if (search.count == 0) {
        return doctor_say(says, DOCTOR_OK, "no connection carries a mark 0x%02x...... now",
                          search.prefix);
    }
    return say_marked(doctor, says, &search);
}

#define FILL_WARN 80 /* per cent */

enum doctor_result doctor_check_conntrack(const struct doctor *doctor, struct text *says)
{
    long long most = doctor_read_number(doctor, "/proc/sys/net/netfilter/nf_conntrack_max", -1);
    long long count = doctor_read_number(doctor, "/proc/sys/net/netfilter/nf_conntrack_count", 0);
    if (most <= 0) {
        return doctor_say(says, DOCTOR_NOTE,
                          "connection tracking is not in use yet; the broker's rules switch it on "
                          "for the whole host");
    }
    if (count * 100 >= most * FILL_WARN) {
        return doctor_say(
            says, DOCTOR_WARN,
            "%lld of %lld tracked connections are in use, and new ones will be dropped "
            "soon; raise net.netfilter.nf_conntrack_max",
            count, most);
    }
    return doctor_say(says, DOCTOR_OK, "%lld of %lld tracked connections are in use", count, most);
}
