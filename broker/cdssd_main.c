/*
 * cdssd: the broker. Reads its arguments and its configuration, and runs in the foreground: whoever
 * supervises services keeps it (systemd, runit, a shell).
 */
#include "daemon.h"
#include "log.h"
#include "stopping_point.h"
#include "version.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "Usage: cdssd [-c FILE] [-n]\n"
    "The broker of CDSS: makes and ends shares on behalf of cdss and the web form.\n"
    "  -c, --config FILE   read this configuration (default: " SETTINGS_FILE ")\n"
    "  -n, --check         check the configuration and the protocol definitions, change nothing\n"
    "      --version       print the version and the commit\n"
    "      --help          print this\n";

struct arguments {
    const char *config;
    bool check;
};

/* -1: go on; otherwise the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'n'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"help", no_argument, NULL, 'h'},
#ifdef CDSS_STOPPING_POINTS
                                            {"stopping-points", no_argument, NULL, 'S'},
#endif
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "c:nVh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            ret->config = optarg;
            break;
        case 'n':
            ret->check = true;
            break;
        case 'V':
            printf("cdssd %s\n", version_text());
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
#ifdef CDSS_STOPPING_POINTS
        case 'S':
            stopping_points_list();
            return 0;
#endif
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "cdssd: \"%s\" is no option; cdssd takes no further arguments\n",
                argv[optind]);
        return 2;
    }
    return -1;
}

int main(int argc, char **argv)
{
    static struct broker broker;
    struct arguments arguments = {.config = SETTINGS_FILE};
    char why[700] = "";

#ifdef CDSS_STOPPING_POINTS
    stopping_points_begin();
#endif
    int status = parse_arguments(argc, argv, &arguments);
    if (status >= 0) {
        return status;
    }
    int r = daemon_check(arguments.config, &broker, why, sizeof why);
    if (r == 0 && !arguments.check) {
        log_open("cdssd", broker.settings.log_format, LOG_LEVEL_INFO);
        r = daemon_run(&broker, why, sizeof why);
    }
    if (r < 0) {
        fprintf(stderr, "cdssd: %s\n", why);
    } else if (arguments.check) {
        printf("%s: fine, %u protocols\n", arguments.config, broker.definitions->count);
    }
    daemon_free(&broker);
    return r < 0 ? 1 : 0;
}
