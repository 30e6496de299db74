/*
 * Protocol definitions: templates/NAME/server.conf and the configuration templates beside it.
 * docs/definitions.md is the contract of the files; this is what they become.
 */
#pragma once

#include "conf.h"
#include "parse.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEFINITIONS_MAX       32
#define DEFINITION_PORTS_MAX  8
#define DEFINITION_SHOW_MAX   16
#define DEFINITION_CONFIG_MAX 4

enum definition_start {
    START_CONNECTION, /* a process per TCP connection, the socket as standard input and output */
    START_DATAGRAM,   /* one process per UDP socket while there is traffic, the socket as standard
                         input */
    START_LISTEN /* one process with all listening sockets from descriptor 3 on (sd_listen_fds(3))
                  */
};

struct definition_port {
    uint8_t transport; /* IPPROTO_TCP or IPPROTO_UDP */
    uint16_t port;     /* the standard port */
};

struct definition_config {
    char name[64]; /* the file's name, in the definition's folder and in /var/cfg of the sandbox */
    char *text;    /* the template, owned */
};

struct definition_show {
    char label[64];
    char *text; /* template; repeated for each image when it names {{image}}, ... {{contents}} */
};

struct definition {
    struct protocol_name name;
    char title[32];
    uint32_t order; /* position on forms and in answers; smaller first */
    struct definition_port ports[DEFINITION_PORTS_MAX];
    uint32_t n_ports;
    enum definition_start start;
    bool network_host; /* network=host: sees the host's network namespace; otherwise an empty one */
    bool as_root;  /* user=root: starts as the sandbox's root (to chroot); otherwise as its user */
    char *program; /* templates of command lines, words separated by blanks, no quoting; owned */
    char *check;   /* NULL without */
    struct definition_config configs[DEFINITION_CONFIG_MAX];
    uint32_t n_configs;
    char helper[8]; /* "", "ftp" or "tftp" */
    uint32_t idle;  /* s; {{idle}} in templates */
    uint32_t max_processes;
    struct definition_show shows[DEFINITION_SHOW_MAX];
    uint32_t n_shows;
};

struct definitions {
    struct definition items[DEFINITIONS_MAX]; /* sorted by order, then name */
    uint32_t count;
};

/* The keys of [server] (for the reader of files, and the test of the page that describes them). */
extern const struct conf_key definition_keys[];
extern const size_t definition_keys_count;

/* Reads every folder of `directory` that has a server.conf. 0 or a negative errno with *ret_error
 * filled (file, line, reason). *ret is freed with definitions_free(). */
int definitions_load(const char *directory, struct definitions **ret, struct conf_error *ret_error);
void definitions_free(struct definitions *definitions);
const struct definition *definitions_find(const struct definitions *definitions, const char *name);
bool definition_has_port(const struct definition *definition, const struct definition_port *port);

/* One server.conf from memory, without its config files (for tests and fuzzing); a free()d by
 * definition_clear(). */
int definition_parse(const char *name, const char *text, size_t length, struct definition *ret,
                     struct conf_error *ret_error);
void definition_clear(struct definition *definition);
