/*
 * How long it takes from the start of a command until a download is cut:
 *
 *   bench_cut NAMESPACE ADDRESS PORT PATH COMMAND...
 *
 * The command runs in the network namespace (a path) while this program downloads. Prints the
 * microseconds until the reset.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char buffer[256 * 1024];
    ssize_t length;

    if (argc < 6) {
        fprintf(stderr, "Usage: bench_cut NAMESPACE ADDRESS PORT PATH COMMAND...\n");
        return 2;
    }
    int fd = bench_connect(argv[2], (uint16_t)strtoul(argv[3], NULL, 10), 0);
    if (!bench_first_byte(fd, argv[4])) {
        bench_die("no download");
    }
    for (int i = 0; i < 100 && recv(fd, buffer, sizeof buffer, 0) > 0; i++) {
    }
    uint64_t began = bench_now();
    pid_t pid = bench_start(argv[1], argv + 5);
    while ((length = recv(fd, buffer, sizeof buffer, 0)) > 0) {
    }
    uint64_t ended = bench_now();
    if (length == 0 || errno != ECONNRESET) {
        fprintf(stderr, "bench: the download ended, but not with a reset\n");
        return 1;
    }
    bench_wait(pid, argv[5]);
    printf("%llu\n", (unsigned long long)(ended - began));
    close(fd);
    return 0;
}
