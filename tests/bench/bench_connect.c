/*
 * What a new connection costs a client: bench_connect ADDRESS PORT COUNT
 *
 * Connects so often, one after the other, and resets each. Prints the nanoseconds of one.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (argc != 4) {
        fprintf(stderr, "Usage: bench_connect ADDRESS PORT COUNT\n");
        return 2;
    }
    unsigned long count = strtoul(argv[3], NULL, 10);
    uint64_t began = bench_now();
    for (unsigned long i = 0; i < count; i++) {
        int fd = bench_connect(argv[1], (uint16_t)strtoul(argv[2], NULL, 10), 0);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    printf("%llu\n", (unsigned long long)((bench_now() - began) * 1000 / count));
    return 0;
}
