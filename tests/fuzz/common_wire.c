/* What decodes must encode to the same bytes: one message, one packet. */
#include "messages.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MESSAGE struct wire_message message = {0};
    CLEANUP_TEXT struct text again = {0};
    if (wire_decode(data, size, &message) != 0) {
        return 0;
    }
    if (wire_encode(message.id, message.body, &again, NULL) != 0 || again.length != size ||
        memcmp(again.data, data, size) != 0) {
        abort();
    }
    return 0;
}
