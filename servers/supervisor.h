/*
 * What the broker and cdss-supervisor agree on. The supervisor is started by the broker as PID 1 of
 * a share's sandbox with a plan in a sealed memfd (descriptor SUPERVISOR_PLAN_FD); the plan is the
 * broker's own and trusted, and it is data with fixed sizes, so that PID 1 parses nothing.
 *
 * A share with a protocol of network=host has two supervisors: PID 1 in the empty network namespace
 * with the sockets of network=none servers, and a second one, its child, in the host's network
 * namespace with the others. Their arguments are `none PID`, with the second one's PID in the
 * sandbox (left out when there is none), and `host`; when the second one ends, PID 1 ends.
 *
 * What the broker reads from a supervisor is hostile input: fixed sizes, ranges checked, text made
 * printable.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SUPERVISOR_PLAN_FD      3
#define SUPERVISOR_MAGIC        0x43445353u
#define SUPERVISOR_SERVICES_MAX 80 /* 16 servers and 64 readers */
#define SUPERVISOR_SOCKETS_MAX  4  /* TCP and UDP, IPv4 and IPv6 */
#define SUPERVISOR_WORDS_SIZE   2560

enum supervisor_start {
    SUPERVISOR_CONNECTION,
    SUPERVISOR_DATAGRAM,
    SUPERVISOR_LISTEN,
    SUPERVISOR_READER /* a FUSE file system: started at once; its /dev/fuse is descriptor 3, and
                         CDSS_FUSE_FD=3 tells cdss-fusermount so */
};

/* A command line: words one after the other, each with its NUL, and an empty word at the end. Words
 * NAME=VALUE before the program, which is an absolute path, go into its environment. Made with
 * supervisor_words.h. */
struct supervisor_words {
    char bytes[SUPERVISOR_WORDS_SIZE];
};

struct supervisor_service {
    char name[16];  /* the protocol, or "reader" */
    uint32_t start; /* enum supervisor_start */
    uint32_t network_host;
    uint32_t uid, gid; /* in the sandbox */
    uint32_t max_processes;
    uint32_t n_sockets;
    int32_t
        sockets[SUPERVISOR_SOCKETS_MAX]; /* descriptors; a reader: [0] /dev/fuse, already mounted */
    uint32_t is_stream[SUPERVISOR_SOCKETS_MAX];
    struct supervisor_words program;
    struct supervisor_words check; /* bytes[0] == 0: none */
};

struct supervisor_plan {
    uint32_t magic;
    uint32_t size; /* of the whole plan, bytes */
    int32_t
        deadline_fd; /* read-only; struct supervisor_deadline, read again when the time has come */
    int32_t control_fd; /* listening SOCK_SEQPACKET: struct supervisor_request */
    int32_t ready_fd;   /* one struct supervisor_ready is written here, then it is closed */
    int32_t status_fd;  /* memfd of struct supervisor_status, shared by both supervisors */
    uint32_t n_services;
    struct supervisor_service services[];
};

/* The file /run/cdss/shares/ID/deadline. Root writes it with one pwrite(2). */
struct supervisor_deadline {
    uint64_t boottime_ns; /* CLOCK_BOOTTIME */
};

struct supervisor_ready {
    uint32_t failed;  /* 0: every socket listens, every program is executable, every check passed */
    char service[16]; /* which one failed */
    char reason[400];
};

struct supervisor_service_status {
    uint64_t started; /* processes started so far */
    uint32_t running;
    uint32_t failures; /* in a row; 0 after a process that lived */
    int32_t last_exit; /* wait status of the last that failed */
    uint32_t backing_off;
};

struct supervisor_status {
    struct supervisor_service_status services[SUPERVISOR_SERVICES_MAX]; /* in the plan's order */
};

/* Requests on the control socket, from root only; each is answered by one reply. */
enum supervisor_request_kind {
    SUPERVISOR_STATUS = 1,      /* reply: struct supervisor_status */
    SUPERVISOR_RELOAD = 2,      /* read the deadline again */
    SUPERVISOR_HAND_STATUS = 4, /* reply: the memfd of struct supervisor_status by SCM_RIGHTS */
    SUPERVISOR_ADD_READER =
        3 /* a further service of kind READER; its /dev/fuse descriptor by SCM_RIGHTS */
};

struct supervisor_request {
    uint32_t kind;
    uint32_t reserved;
    struct supervisor_service service; /* ADD_READER */
};

struct supervisor_reply {
    int32_t error; /* 0 or a negative errno */
    uint32_t reserved;
    struct supervisor_status status; /* STATUS */
};
