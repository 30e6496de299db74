/* What a supervisor that has been taken over says to the broker: readiness, answers, status. */
#include "cleanup.h"
#include "supervision.h"
#include "text.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As it is told to a person. */
static void show(const char *field, size_t size)
{
    CLEANUP_TEXT struct text printable = {0};
    size_t length = strnlen(field, size);
    if (length == size) {
        __builtin_trap(); /* it must end within its field */
    }
    text_add_printable(&printable, field, length);
    for (const char *c = printable.data; c != NULL && *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            __builtin_trap(); /* nothing for a terminal to obey */
        }
    }
}

static void read_status(const uint8_t *data, size_t size)
{
    struct supervisor_status status;
    CLEANUP_CLOSE int fd = memfd_create("status", MFD_CLOEXEC);
    if (write(fd, data, size) == (ssize_t)size && supervision_status(fd, &status) == 0 &&
        memcmp(&status, data, sizeof status) != 0) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct supervisor_ready ready;
    if (supervision_parse_ready(data, size, &ready) == 0) {
        show(ready.service, sizeof ready.service);
        show(ready.reason, sizeof ready.reason);
    }
    int error = supervision_parse_reply(data, size);
    if (error > 0 || error < -4095) {
        __builtin_trap();
    }
    read_status(data, size);
    return 0;
}
