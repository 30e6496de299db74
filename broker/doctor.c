/* The table of checks, and the report. */
#include "doctor.h"

#include "cleanup.h"
#include "client.h"
#include "doctor_checks.h"
#include "json.h"
#include "table.h"

#include <fcntl.h>
#include <string.h>

const struct doctor_check doctor_checks[] = {
    {"root", doctor_check_root},
    {"kernel", doctor_check_kernel},
    {"capabilities", doctor_check_capabilities},
    {"user-namespaces", doctor_check_user_namespaces},
    {"cgroups", doctor_check_cgroups},
    {"fence", doctor_check_fence},
    {"loop-devices", doctor_check_loop},
    {"filesystems", doctor_check_filesystems},
    {"private-files", doctor_check_idmap},
    {"firewall", doctor_check_firewall},
    {"cut-connections", doctor_check_destroy},
    {"foreign-firewall", doctor_check_foreign},
    {"foreign-nat", doctor_check_foreign_nat},
    {"legacy-iptables", doctor_check_legacy},
    {"docker", doctor_check_docker},
    {"bridge-netfilter", doctor_check_bridge},
    {"mark", doctor_check_mark},
    {"conntrack-fill", doctor_check_conntrack},
    {"source-routing", doctor_check_source_route},
    {"reverse-path", doctor_check_rp_filter},
    {"route-localnet", doctor_check_route_localnet},
    {"port-pools", doctor_check_pools},
    {"public-ports", doctor_check_public_ports},
    {"uids", doctor_check_uids},
    {"repository", doctor_check_repository},
    {"shares", doctor_check_shares},
    {"servers", doctor_check_servers},
    {"broker", doctor_check_broker},
    {0},
};

static const char *const result_names[DOCTOR_RESULTS] = {
    [DOCTOR_OK] = "ok", [DOCTOR_NOTE] = "note", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "FAIL"};

/* Where one finding goes. */
struct report {
    struct table table;
    struct json json;
    bool as_json;
    unsigned counts[DOCTOR_RESULTS];
};

static void add_finding(struct report *report, const char *name, enum doctor_result result,
                        const struct text *says)
{
    const char *sentence = says->data != NULL ? says->data : "";
    report->counts[result]++;
    if (report->as_json) {
        json_object(&report->json, NULL);
        json_string(&report->json, "name", name);
        json_string(&report->json, "result", result == DOCTOR_FAIL ? "fail" : result_names[result]);
        json_string(&report->json, "message", sentence);
        json_end_object(&report->json);
        return;
    }
    table_cell(&report->table, result_names[result]);
    table_cell(&report->table, name);
    table_cell(&report->table, sentence);
}

static void look_at_all(const struct doctor *doctor, struct report *report)
{
    for (const struct doctor_check *row = doctor_checks; row->name != NULL; row++) {
        CLEANUP_TEXT struct text says = {0};
        enum doctor_result result = row->look(doctor, &says);
        add_finding(report, row->name, result, &says);
    }
}

static void report_json(const struct doctor *doctor, struct report *report, struct text *out)
{
    json_begin(&report->json, out);
    json_object(&report->json, NULL);
    json_array(&report->json, "checks");
    look_at_all(doctor, report);
    json_end_array(&report->json);
    json_bool(&report->json, "fit", report->counts[DOCTOR_FAIL] == 0);
    json_end_object(&report->json);
    text_add(out, "\n");
}

static void report_text(const struct doctor *doctor, struct report *report, struct text *out)
{
    static const struct table_column columns[] = {{NULL, false}, {NULL, false}, {NULL, false}};
    table_begin(&report->table, columns, ARRAY_SIZE(columns));
    look_at_all(doctor, report);
    table_draw(&report->table, "", out);
    table_free(&report->table);
    text_format(out, "\n%u ok, %u to know, %u to mind, %u missing: %s\n", report->counts[DOCTOR_OK],
                report->counts[DOCTOR_NOTE], report->counts[DOCTOR_WARN],
                report->counts[DOCTOR_FAIL],
                report->counts[DOCTOR_FAIL] == 0 ? "this host can serve shares."
                                                 : "this host cannot serve shares like this.");
}

#define BROKER_TIMEOUT_MS 5000

static void ask_broker(struct doctor *doctor, struct wire_message *answer)
{
    CLEANUP_CLOSE int fd = client_connect(doctor->settings->socket);
    int error = fd < 0 ? fd : client_send(fd, MESSAGE_STATUS, NULL, NULL);
    if (error == 0) {
        error = client_receive(fd, BROKER_TIMEOUT_MS, answer);
    }
    doctor->broker_error = error;
    if (error == 0 && answer->id == MESSAGE_STATUS_REPLY) {
        doctor->broker = answer->body;
    }
}

bool doctor_run(const struct settings *settings, bool json, struct text *out)
{
    struct conf_error error = {""};
    struct definitions *definitions = NULL;
    CLEANUP_MESSAGE struct wire_message answer = {0};
    CLEANUP_CLOSE int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct doctor doctor = {
        .root_fd = root_fd, .live = true, .privileged = geteuid() == 0, .settings = settings};
    struct report report = {.as_json = json};
    if (definitions_load(settings->templates, &definitions, &error) < 0) {
        doctor.definitions_error = error.text;
    }
    doctor.definitions = definitions;
    ask_broker(&doctor, &answer);
    if (json) {
        report_json(&doctor, &report, out);
    } else {
        report_text(&doctor, &report, out);
    }
    definitions_free(definitions);
    return report.counts[DOCTOR_FAIL] == 0;
}
