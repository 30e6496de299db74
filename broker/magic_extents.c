/*
 * The directories of an ISO 9660 volume, breadth first, a sector at a time. A record never crosses
 * a sector's end (ECMA-119 6.8.1.1), a directory is an extent of whole sectors, and a loop among
 * directories ends with the budget.
 */
#include "magic.h"

#define SECTORS_MAX     512u /* directory sectors read: some 20,000 names, 1 MiB */
#define DIRECTORIES_MAX 256u

#define RECORD_MIN     34u /* ECMA-119 9.1: fixed fields and a name of one byte */
#define FLAG_DIRECTORY 0x02u
#define FLAG_MULTI     0x80u

struct directory {
    uint64_t offset; /* bytes */
    uint32_t length;
};

struct walk {
    struct directory queue[DIRECTORIES_MAX];
    unsigned count, next;
    unsigned sectors; /* read so far */
    unsigned block;   /* size of a logical block */
};

static void enqueue(struct walk *walk, const uint8_t *record)
{
    uint32_t length = magic_le32(record + 10);

    if (length > 0 && walk->count < DIRECTORIES_MAX) {
        walk->queue[walk->count++] =
            (struct directory){(uint64_t)magic_le32(record + 2) * walk->block, length};
    }
}

/* The names of a single byte 0 and 1 are the directory itself and its parent. */
static bool is_child(const uint8_t *record)
{
    return (record[25] & FLAG_DIRECTORY) != 0 && !(record[32] == 1 && record[33] <= 1);
}

static bool search_sector(struct walk *walk, const uint8_t sector[ISO_SECTOR])
{
    for (unsigned at = 0; at + RECORD_MIN <= ISO_SECTOR; at += sector[at]) {
        const uint8_t *record = sector + at;
        if (record[0] < RECORD_MIN || record[0] > ISO_SECTOR - at) {
            return false;
        }
        if ((record[25] & FLAG_MULTI) != 0) {
            return true;
        }
        if (is_child(record)) {
            enqueue(walk, record);
        }
    }
    return false;
}

static int search_directory(const struct magic_source *source, struct walk *walk,
                            const struct directory *directory)
{
    uint8_t sector[ISO_SECTOR];

    for (uint64_t at = 0; at < directory->length && walk->sectors < SECTORS_MAX;
         at += sizeof sector) {
        ssize_t got = magic_read(source, sector, sizeof sector, directory->offset + at);
        if (got <= 0) {
            return (int)got;
        }
        walk->sectors++;
        if (search_sector(walk, sector)) {
            return 1;
        }
    }
    return 0;
}

int magic_large_extents(const struct magic_source *source, const uint8_t descriptor[ISO_SECTOR])
{
    struct walk walk = {.block = magic_le16(descriptor + 128)};
    int found = 0;

    enqueue(&walk, descriptor + 156); /* the root's record */
    while (found == 0 && walk.next < walk.count && walk.sectors < SECTORS_MAX) {
        const struct directory directory = walk.queue[walk.next++];
        found = search_directory(source, &walk, &directory);
    }
    return found;
}
