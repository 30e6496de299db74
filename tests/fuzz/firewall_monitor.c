/*
 * What the kernel announces about nftables. It is the kernel that speaks, but names in it are
 * anybody's; whatever is said, the process's name that is heard of it ends.
 */
#include "monitor.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct firewall_change heard = {0};
    void *aligned = malloc(size > 0 ? size : 1); /* so that a read behind its end is seen */

    if (aligned == NULL) {
        return 0;
    }
    memcpy(aligned, data, size);
    monitor_parse(aligned, size, 4711, &heard);
    if (memchr(heard.name, '\0', sizeof heard.name) == NULL) {
        abort();
    }
    free(aligned);
    return 0;
}
