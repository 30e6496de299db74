/*
 * The system calls of a sandbox: seccomp(2). A deny list, because the servers are other people's
 * programs; what it denies is what a captured server would use to attack the kernel or to get out.
 * Other architectures' calls kill the process.
 */
#pragma once

#include <linux/filter.h>

enum sandbox_network {
    SANDBOX_NETWORK_NONE, /* socket(2): AF_UNIX only */
    SANDBOX_NETWORK_HOST, /* socket(2): TCP and UDP over IPv4 and IPv6 only */
    SANDBOX_NETWORKS
};

/* Compiles the program once, so that starting a sandbox costs one system call. ret->filter is
 * owned by the caller, who free()s it. 0 or a negative errno. */
int sandbox_seccomp_compile(enum sandbox_network network, struct sock_fprog *ret);

/* Loads it into the calling process, which has no_new_privs. 0 or a negative errno. */
int sandbox_seccomp_load(const struct sock_fprog *program);
