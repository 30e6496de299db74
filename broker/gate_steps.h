/*
 * What the files of one request at the gate call of each other, and nobody else: gate.c (asking,
 * the worker that reads, the answer and its moment), gate_judge.c (the checks and what they come
 * to).
 */
#pragma once

#include "gate.h"
#include "gate_count.h"
#include "gate_read.h"
#include "verify.h"
#include "worker.h"

struct gate {
    struct gates *gates;
    struct gate *next;
    struct address requester;
    uid_t peer;
    char asker[64];
    struct gate_image *images; /* owned */
    uint32_t n_images;
    const char *passwords[GATE_PASSWORDS_MAX]; /* borrowed; each once */
    uint32_t n_passwords;
    uint64_t started_ns;
    struct worker *worker;
    struct loop_timer *timer; /* the worker's limit; later, the moment of the answer */
    struct verify_order *order;
    struct gate_found *found; /* owned; NULL: nothing was heard */
    uint64_t needed, matched; /* guards */
    char sentence[700];
    gate_answer *answer; /* NULL: nobody waits any more */
    void *user_data;
};

struct gates {
    struct broker *broker;
    uint64_t moment_ns;
    struct gate *first;
    struct gate_counts *counts;
};

/* Answers; the gate is gone behind it. */
void gate_finish(struct gate *gate, const struct gate_verdict *verdict);
/* The same, with what gate_say() has said. */
void gate_refuse(struct gate *gate, int error);
/* The same later: from here on the answer depends on nothing but the time. */
void gate_refuse_at_moment(struct gate *gate);

/* The sentence of a refusal. */
void gate_say(struct gate *gate, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gate_say_wait(struct gate *gate, const char *whose, uint64_t wait_ns);

/* What is in gate->found, and the passwords, come to an answer, now or later. */
void gate_judge(struct gate *gate);
