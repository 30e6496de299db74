/*
 * A server that has been taken over, for tests/net/captured.sh: it stands in a share's sandbox in
 * place of lighttpd, vsftpd or atftpd, started as they are (hostile listen | connection |
 * datagram). Its client sends a line "GROUP NAME=VALUE..."; it answers a line for each attempt,
 *
 *   held NAME: HOW      it was refused, or came to nothing
 *   BROKE NAME: HOW     it worked, and should not have
 *   note TEXT
 *
 * and then "end". With as=UID it becomes that user first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

int connection(void); /* the descriptor of the client's connection, or of the datagram socket */

/* One line of the answer. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A result as of a system call: negative is held, by errno. */
void attempt(const char *name, long result);
/* Counts up to a bound: broken when it reached the limit. */
void bounded(const char *name, long count, long limit);

/* A value of the request; "" without. */
const char *value(const char *name);
long value_number(const char *name);
/* Calls visit for each comma-separated part of a value. */
void each_value(const char *name, void (*visit)(const char *part));

/* Runs it in a child, for what must not happen to this process: what it returned (0 to 254), or -1
 * when it was killed, or took longer than `seconds`. */
int in_child(int (*run)(void), unsigned seconds);

typedef void group(void);
group group_kernel, group_processes, group_files;                       /* hostile_system.c */
group group_sockets, group_ports, group_hear, group_turn, group_turned; /* hostile_sockets.c */
group group_bounds, group_fill, group_spin, group_kill, group_hold,
    group_stop; /* hostile_bounds.c */
