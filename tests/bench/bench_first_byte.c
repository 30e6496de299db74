/*
 * How long it takes from the start of a command until a client has the first byte over HTTP:
 *
 *   bench_first_byte NAMESPACE ADDRESS PORT PATH COMMAND...
 *
 * The command runs in the network namespace (a path), the client is this program. Prints the
 * microseconds until the command has ended, and until the first byte.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "Usage: bench_first_byte NAMESPACE ADDRESS PORT PATH COMMAND...\n");
        return 2;
    }
    uint64_t began = bench_now();
    bench_wait(bench_start(argv[1], argv + 5), argv[5]);
    uint64_t ended = bench_now();
    int fd = bench_connect(argv[2], (uint16_t)strtoul(argv[3], NULL, 10), 0);
    if (!bench_first_byte(fd, argv[4])) {
        fprintf(stderr, "bench: no byte of %s\n", argv[4]);
        return 1;
    }
    printf("%llu %llu\n", (unsigned long long)(ended - began),
           (unsigned long long)(bench_now() - began));
    close(fd);
    return 0;
}
