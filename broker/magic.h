/*
 * What the files that recognise images have in common: bounded reads of a source of known size, and
 * integers of either byte order from unaligned bytes. Everything read is hostile.
 */
#pragma once

#include "image.h"

#include <endian.h>
#include <string.h>

struct magic_source {
    image_reader *reader;
    void *source; /* the reader's */
    uint64_t size;
};

#define ISO_SECTOR 2048u /* ECMA-119 6.1.2: a logical sector */

static inline uint16_t magic_le16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return le16toh(value);
}

static inline uint32_t magic_le32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static inline uint64_t magic_le64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

/* Reads what there is of `length` bytes at `offset`; what lies behind the end is zero. The number
 * of bytes that are real, or a negative errno. */
ssize_t magic_read(const struct magic_source *source, uint8_t *buffer, size_t length,
                   uint64_t offset);

/* Looks for files of several extents below the root directory of an ISO 9660 volume, whose primary
 * volume descriptor is `descriptor` (ECMA-119 8.4 and 9.1). Reads a bounded number of sectors,
 * breadth first: what lies deeper is not found. 1, 0, or a negative errno. */
int magic_large_extents(const struct magic_source *source, const uint8_t descriptor[ISO_SECTOR]);
