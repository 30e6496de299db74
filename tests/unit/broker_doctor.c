/* The doctor's checks on made-up trees: each finding must come from what the files say. */
#include "test.h"

#include "beneath.h"
#include "cleanup.h"
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

static struct settings settings;
static struct definitions definitions;
static struct doctor doctor;

/* A fresh, empty root. */
static char root[] = "/tmp/cdss-unit-doctor-XXXXXX";

static void root_make(void)
{
    memcpy(root + sizeof root - 7, "XXXXXX", 6);
    CHECK(mkdtemp(root) != NULL);
    settings_defaults(&settings);
    doctor = (struct doctor){.root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC),
                             .settings = &settings,
                             .definitions = &definitions};
}

static void root_remove(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + 5, 1000) == 0);
    close(TAKE_FD(doctor.root_fd));
}

static void put(const char *path, const char *content, mode_t mode)
{
    const char *name = strrchr(path, '/');
    CLEANUP_FREE char *parent = strndup(path, (size_t)(name - path));
    CLEANUP_CLOSE int directory = beneath_make_directories(doctor.root_fd, parent, 0755);
    CLEANUP_CLOSE int fd =
        openat(directory, name + 1, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
}

static void put_directory(const char *path, mode_t mode)
{
    CLEANUP_CLOSE int fd = beneath_make_directories(doctor.root_fd, path, 0755);
    CHECK(fd >= 0 && fchmodat(doctor.root_fd, path, mode, 0) == 0);
}

/* Runs the check of this name; true when it answers `want` with a sentence that has `part`. */
static bool says(const char *name, enum doctor_result want, const char *part)
{
    CLEANUP_TEXT struct text sentence = {0};
    for (const struct doctor_check *row = doctor_checks; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            enum doctor_result got = row->look(&doctor, &sentence);
            const char *text = sentence.data != NULL ? sentence.data : "";
            bool good = got == want && strstr(text, part) != NULL;
            if (!good) {
                printf("# %s: %d: %s\n", name, got, text);
            }
            return good;
        }
    }
    printf("# there is no check %s\n", name);
    return false;
}

static void test_kernel(void)
{
    root_make();
    CHECK(says("kernel", DOCTOR_WARN, "cannot be read"));
    put("proc/sys/kernel/osrelease", "5.10.0-28-amd64\n", 0644);
    CHECK(says("kernel", DOCTOR_FAIL, "Linux 5.10 has no id-mapped mounts"));
    put("proc/sys/kernel/osrelease", "5.15.3\n", 0644);
    CHECK(says("kernel", DOCTOR_WARN, "prefer 6.1"));
    put("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n", 0644);
    CHECK(says("kernel", DOCTOR_OK, "Linux 6.1"));
    CHECK(says("private-files", DOCTOR_NOTE, "squashfs images"));
    put("proc/sys/kernel/osrelease", "6.18.44\n", 0644);
    CHECK(says("private-files", DOCTOR_OK, ""));
    root_remove();
}

static void test_rights(void)
{
    root_make();
    put("proc/self/status", "Name:\tx\nCapBnd:\t000001ffffffffff\n", 0644);
    CHECK(says("capabilities", DOCTOR_OK, ""));
    put("proc/self/status", "CapBnd:\t000001fffeffffff\n", 0644); /* without bit 24 */
    CHECK(says("capabilities", DOCTOR_WARN, "lacks CAP_SYS_RESOURCE:"));
    put("proc/self/status", "CapBnd:\t00000000a80425fb\n", 0644); /* what docker leaves */
    CHECK(says("capabilities", DOCTOR_FAIL, "CAP_SYS_ADMIN, CAP_NET_ADMIN"));
    CHECK(says("user-namespaces", DOCTOR_FAIL, "CONFIG_USER_NS"));
    put("proc/sys/user/max_user_namespaces", "0\n", 0644);
    CHECK(says("user-namespaces", DOCTOR_FAIL, "switched off"));
    put("proc/sys/user/max_user_namespaces", "100\n", 0644);
    CHECK(says("user-namespaces", DOCTOR_WARN, "only 100"));
    put("proc/sys/user/max_user_namespaces", "95000\n", 0644);
    CHECK(says("user-namespaces", DOCTOR_OK, "95000"));
    root_remove();
}

#define V2 "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n"
#define V1                                                                                         \
    "31 23 0:27 / /m rw - cgroup cgroup rw,memory\n32 23 0:28 / /p rw - cgroup cgroup rw,pids\n"

static void test_cgroups(void)
{
    root_make();
    CHECK(says("cgroups", DOCTOR_WARN, "no control groups"));
    put("proc/self/mountinfo", V2, 0644);
    put("cg/cgroup.controllers", "cpu io memory hugetlb pids\n", 0644);
    CHECK(says("cgroups", DOCTOR_OK, "cgroup v2"));
    put("cg/cgroup.controllers", "hugetlb\n", 0644);
    CHECK(says("cgroups", DOCTOR_WARN, "no control groups"));
    put("cg/cgroup.controllers", "memory\n", 0644);
    CHECK(says("cgroups", DOCTOR_WARN, "for processes"));
    put("proc/self/mountinfo", V2 V1, 0644);
    CHECK(says("cgroups", DOCTOR_NOTE, "v1 hierarchies"));
    CHECK(says("fence", DOCTOR_NOTE, "for root to see"));
    put("proc/self/mountinfo", V1, 0644);
    CHECK(says("fence", DOCTOR_WARN, "no cgroup2"));
    root_remove();
}

static void test_filesystems(void)
{
    root_make();
    CHECK(says("loop-devices", DOCTOR_WARN, "modprobe loop"));
    put("dev/loop-control", "", 0644);
    put("sys/block/loop0/loop/backing_file", "/x.iso\n", 0644);
    put_directory("sys/block/loop1", 0755);
    CHECK(says("loop-devices", DOCTOR_OK, "(1 in use)"));
    put("proc/filesystems", "nodev\tfuse\n\tsquashfs\nnodev\terofs\n", 0644);
    CHECK(says("filesystems", DOCTOR_WARN, "no reader for iso9660, udf:"));
    put("proc/sys/kernel/osrelease", "6.1.0\n", 0644);
    put("lib/modules/6.1.0/modules.dep", "kernel/fs/udf/udf.ko: x\n", 0644);
    CHECK(says("filesystems", DOCTOR_WARN, "no reader for iso9660:"));
    put("dev/fuse", "", 0644);
    put("usr/bin/fuseiso", "", 0755);
    CHECK(says("filesystems", DOCTOR_NOTE, "4 GiB"));
    put("lib/modules/6.1.0/modules.dep", "fs/udf/udf.ko: x\nfs/isofs/isofs.ko:\n", 0644);
    CHECK(says("filesystems", DOCTOR_OK, "iso9660, udf, squashfs, erofs"));
    root_remove();
}

#define CONF "proc/sys/net/ipv4/conf/"

static void test_switches(void)
{
    root_make();
    put(CONF "all/accept_source_route", "0\n", 0644);
    put(CONF "eth0/accept_source_route", "1\n", 0644);
    put(CONF "eth0/rp_filter", "0\n", 0644);
    put(CONF "lo/rp_filter", "0\n", 0644);
    put(CONF "eth1/rp_filter", "1\n", 0644);
    put(CONF "eth1/route_localnet", "1\n", 0644);
    CHECK(says("source-routing", DOCTOR_OK, "not accepted"));
    CHECK(says("reverse-path", DOCTOR_WARN, "on eth0 packets are taken"));
    CHECK(says("route-localnet", DOCTOR_WARN, "on eth1 127.0"));
    put(CONF "all/accept_source_route", "1\n", 0644);
    put(CONF "all/rp_filter", "2\n", 0644);
    put(CONF "eth1/route_localnet", "0\n", 0644);
    CHECK(says("source-routing", DOCTOR_WARN, "on eth0 source"));
    CHECK(says("reverse-path", DOCTOR_OK, ""));
    CHECK(says("route-localnet", DOCTOR_OK, ""));
    root_remove();
}

static void test_neighbours(void)
{
    root_make();
    CHECK(says("bridge-netfilter", DOCTOR_OK, ""));
    put("proc/sys/net/bridge/bridge-nf-call-iptables", "1\n", 0644);
    CHECK(says("bridge-netfilter", DOCTOR_NOTE, "bridges"));
    CHECK(says("docker", DOCTOR_OK, "neither"));
    put_directory("sys/class/net/docker0", 0755);
    put_directory("run/firewalld", 0755);
    CHECK(says("docker", DOCTOR_NOTE, "found docker, firewalld:"));
    CHECK(says("legacy-iptables", DOCTOR_OK, ""));
    put("proc/net/ip6_tables_names", "mangle\nfilter\n", 0644);
    CHECK(says("legacy-iptables", DOCTOR_NOTE, "table filter"));
    CHECK(says("foreign-firewall", DOCTOR_NOTE, "only root"));
    CHECK(says("foreign-nat", DOCTOR_NOTE, "only root"));
    CHECK(says("firewall", DOCTOR_NOTE, "only root"));
    root_remove();
}

static void test_conntrack(void)
{
    root_make();
    CHECK(says("mark", DOCTOR_NOTE, "cannot be seen"));
    put("proc/net/nf_conntrack", "ipv4 2 tcp 6 mark=0 use=1\nipv4 2 udp 17 mark=1526726657 use=1\n",
        0644); /* 0x5b000001 */
    struct message_status broker = {0};
    CHECK(says("mark", DOCTOR_NOTE, "1 connections carry a mark 0x5b......: shares do so, but"));
    doctor.broker = &broker;
    CHECK(says("mark", DOCTOR_WARN, "although there is no share"));
    broker.active = 1;
    CHECK(says("mark", DOCTOR_OK, "1 connections of shares carry a mark 0x5b"));
    broker = (struct message_status){.ending = 1};
    CHECK(says("mark", DOCTOR_OK, "of shares"));
    broker.ending = 0;
    settings.mark_prefix = 0x5c;
    CHECK(says("mark", DOCTOR_OK, "0x5c"));
    CHECK(says("conntrack-fill", DOCTOR_NOTE, "not in use yet"));
    put("proc/sys/net/netfilter/nf_conntrack_max", "1000\n", 0644);
    put("proc/sys/net/netfilter/nf_conntrack_count", "799\n", 0644);
    CHECK(says("conntrack-fill", DOCTOR_OK, "799 of 1000"));
    put("proc/sys/net/netfilter/nf_conntrack_count", "800\n", 0644);
    CHECK(says("conntrack-fill", DOCTOR_WARN, "nf_conntrack_max"));
    root_remove();
}

static void test_pools(void)
{
    root_make();
    settings.ports = (struct settings_range){21000, 29999};
    settings.passive = (struct settings_range){30000, 31999};
    CHECK(says("port-pools", DOCTOR_NOTE, "cannot be read"));
    put("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n", 0644);
    CHECK(says("port-pools", DOCTOR_OK, "32768-60999"));
    put("proc/sys/net/ipv4/ip_local_port_range", "31999\t60999\n", 0644);
    CHECK(says("port-pools", DOCTOR_WARN, "30000-31999"));
    put("proc/sys/net/ipv4/ip_local_reserved_ports", "80,30000-31998\n", 0644);
    CHECK(says("port-pools", DOCTOR_WARN, "30000-31999"));
    put("proc/sys/net/ipv4/ip_local_reserved_ports", "80,29000-30999,31000-32000\n", 0644);
    CHECK(says("port-pools", DOCTOR_OK, ""));
    root_remove();
}

static void define(const char *name, const char *program, uint8_t transport, uint16_t port)
{
    struct definition *row = &definitions.items[definitions.count++];
    text_copy(row->name.text, sizeof row->name.text, name);
    text_copy(row->title, sizeof row->title, name);
    row->program = (char *)program;
    row->ports[row->n_ports++] = (struct definition_port){transport, port};
}

/* 0045 is 69, 1F90 is 8080 */
#define HEADER     "  sl  local_address rem_address   st\n"
#define UDP_BOUND  HEADER "  12: 00000000:0045 00000000:0000 07 0:0\n"
#define TCP_CLIENT HEADER "   0: 0100007F:1F90 0100007F:0016 01 0:0\n"
#define TCP_LISTEN                                                                                 \
    HEADER "   0: 00000000000000000000000000000000:1F90 "                                          \
           "00000000000000000000000000000000:0000 0A 0:0\n"

static void test_protocols(void)
{
    root_make();
    doctor.definitions = NULL;
    doctor.definitions_error = "no such folder";
    CHECK(says("servers", DOCTOR_FAIL, "no such folder"));
    CHECK(says("public-ports", DOCTOR_NOTE, "not looked at"));
    doctor.definitions = &definitions;
    CHECK(says("servers", DOCTOR_FAIL, "no definition"));
    define("http", "/usr/sbin/lighttpd -D", IPPROTO_TCP, 8080);
    define("tftp", "TZ=UTC0 X=/y /usr/sbin/atftpd --x", IPPROTO_UDP, 69);
    CHECK(says("servers", DOCTOR_FAIL, "install the package lighttpd"));
    put("usr/sbin/lighttpd", "", 0755);
    put("usr/sbin/atftpd", "", 0644);
    CHECK(says("servers", DOCTOR_WARN, "tftp (/usr/sbin/atftpd: install the package atftpd)"));
    CHECK(fchmodat(doctor.root_fd, "usr/sbin/atftpd", 0755, 0) == 0);
    CHECK(says("servers", DOCTOR_OK, "all 2"));
    put("proc/net/tcp", TCP_CLIENT, 0644);
    CHECK(says("public-ports", DOCTOR_OK, ""));
    put("proc/net/tcp6", TCP_LISTEN, 0644);
    put("proc/net/udp", UDP_BOUND, 0644);
    CHECK(says("public-ports", DOCTOR_NOTE, "tcp/8080 (http), udp/69 (tftp):"));
    settings.n_public_ports = 1;
    settings.public_ports[0] = (struct settings_port){{"http"}, 8081};
    CHECK(says("public-ports", DOCTOR_NOTE, "is on udp/69 (tftp):"));
    root_remove();
}

static void test_uids(void)
{
    root_make();
    settings.max_shares = 1000;
    settings.uid_first = 2100000000;
    settings.uid_per_share = 4;
    put("etc/passwd", "root:x:0:0::/:/bin/sh\nbob:x:2099999999:1::/:/bin/sh\n", 0644);
    put("etc/subuid", "bob:2100016385:65536\n", 0644);
    CHECK(says("uids", DOCTOR_OK, "2100000000-2100016384"));
    put("etc/subuid", "bob:2100016384:65536\n", 0644);
    CHECK(says("uids", DOCTOR_FAIL, "/etc/subuid gives some to \"bob\""));
    put("etc/subuid", "", 0644);
    put("etc/passwd", "eve:x:2100000000:1::/:/bin/sh\n", 0644);
    CHECK(says("uids", DOCTOR_FAIL, "/etc/passwd gives some to \"eve\""));
    put("etc/passwd", "", 0644);
    settings.uid_first = 600000;
    CHECK(says("uids", DOCTOR_WARN, "systemd"));
    settings.uid_first = 4294967000;
    CHECK(says("uids", DOCTOR_FAIL, "do not exist"));
    root_remove();
}

static void test_directories(void)
{
    root_make();
    text_copy(settings.images, sizeof settings.images, "/srv/images");
    text_copy(settings.shares, sizeof settings.shares, "/srv/shares");
    CHECK(says("repository", DOCTOR_FAIL, "is not there"));
    CHECK(says("shares", DOCTOR_NOTE, "is not there yet"));
    put_directory("srv/images", 0755);
    put_directory("srv/shares", 0700);
    CHECK(says("repository", DOCTOR_OK, "mv"));
    CHECK(says("shares", DOCTOR_OK, "root's alone"));
    put_directory("srv/images", 0777);
    put_directory("srv/shares", 0750);
    CHECK(says("repository", DOCTOR_WARN, "o-w"));
    CHECK(says("shares", DOCTOR_FAIL, "mode 0750"));
    root_remove();
}

static void test_broker(void)
{
    root_make();
    text_copy(settings.socket, sizeof settings.socket, "/nonexistent/broker.sock");
    char ok[] = "ok", full[] = "the disk is full", version[] = "1.2.3";
    struct message_status broker = {
        .version = version, .active = 2, .firewall = ok, .registry = ok};
    doctor.broker_error = -ECONNREFUSED;
    CHECK(says("broker", DOCTOR_NOTE, "is not running"));
    doctor.broker_error = -EACCES;
    CHECK(says("broker", DOCTOR_NOTE, "member of the group cdss-admin"));
    doctor.broker_error = -ETIMEDOUT;
    CHECK(says("broker", DOCTOR_WARN, "/nonexistent/broker.sock"));
    doctor.broker_error = 0;
    CHECK(says("broker", DOCTOR_NOTE, "does not tell you more"));
    doctor.broker = &broker;
    CHECK(says("broker", DOCTOR_OK, "the broker 1.2.3 serves 2 shares; firewall: ok"));
    broker.registry = full;
    CHECK(says("broker", DOCTOR_WARN, "registry: the disk is full"));
    root_remove();
}

TEST_MAIN({"kernel", test_kernel}, {"rights", test_rights}, {"control groups", test_cgroups},
          {"loop devices and filesystems", test_filesystems},
          {"switches of the network stack", test_switches},
          {"neighbours on the host", test_neighbours}, {"connection tracking", test_conntrack},
          {"port pools", test_pools}, {"servers and their ports", test_protocols},
          {"uids", test_uids}, {"directories", test_directories}, {"the broker", test_broker})
