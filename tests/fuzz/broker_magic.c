/*
 * Recognising images. To keep the corpus small, an input is the image's first 2 KiB and what
 * follows from 32 KiB on; it is probed as a file of that size, and as one of 8 GiB with nothing
 * behind, where directories are searched too. No read may leave the file, and there are few.
 */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#define HEAD        2048u
#define DESCRIPTORS 32768u
#define HUGE        (UINT64_C(8) << 30)
#define READS_MAX   600u

struct input {
    const uint8_t *data;
    size_t length;
    uint64_t size;
    unsigned reads;
};

/* What lies from `place` on in the file, and so from `from` to `to` in the data. */
static void copy_part(const struct input *input, uint64_t place, size_t from, size_t to,
                      uint8_t *buffer, size_t length, uint64_t offset)
{
    to = to < input->length ? to : input->length;
    uint64_t begin = place > offset ? place : offset;
    uint64_t end = from < to ? place + (to - from) : place;

    end = end < offset + length ? end : offset + length;
    if (begin < end) {
        memcpy(buffer + (begin - offset), input->data + from + (begin - place),
               (size_t)(end - begin));
    }
}

static ssize_t read_input(void *source, void *buffer, size_t length, uint64_t offset)
{
    struct input *input = source;
    uint8_t *bytes = buffer;

    if (++input->reads > READS_MAX || offset >= input->size || length > input->size - offset) {
        abort();
    }
    memset(bytes, 0, length);
    copy_part(input, 0, 0, HEAD, bytes, length, offset);
    copy_part(input, DESCRIPTORS, HEAD, input->length, bytes, length, offset);
    return (ssize_t)length;
}

static void probe(const uint8_t *data, size_t length, uint64_t size)
{
    struct input input = {data, length, size, 0};
    struct image_info info;

    if (image_probe_reader(read_input, &input, size, &info) != 0 || info.size != size ||
        (unsigned)info.type >= IMAGE_TYPES || (info.large_extents && !info.has_iso9660) ||
        (info.type == IMAGE_ISO9660 && !info.has_iso9660) ||
        (info.other_devices && info.type != IMAGE_EROFS)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    probe(data, size, size > HEAD ? size - HEAD + DESCRIPTORS : size);
    probe(data, size, HUGE);
    return 0;
}
