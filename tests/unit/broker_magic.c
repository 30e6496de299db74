/* Recognising images: headers made byte by byte, images that nobody of this project made, and
 * claims that are lies. */
#include "image.h"

#include "cleanup.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#define SPACE (256 * 1024)

/* A file of any size, all zero behind the first SPACE bytes. */
struct file {
    uint8_t bytes[SPACE];
    unsigned reads;
};

static ssize_t read_file(void *source, void *buffer, size_t length, uint64_t offset)
{
    struct file *file = source;

    file->reads++;
    memset(buffer, 0, length);
    if (offset < SPACE) {
        memcpy(buffer, file->bytes + offset,
               length < SPACE - offset ? length : (size_t)(SPACE - offset));
    }
    return (ssize_t)length;
}

static ssize_t read_error(void *source, void *buffer, size_t length, uint64_t offset)
{
    (void)source, (void)buffer, (void)length, (void)offset;
    return -EIO;
}

static struct file file;

static void clear(void)
{
    memset(&file, 0, sizeof file);
}

static void put(uint64_t offset, const void *bytes, size_t length)
{
    memcpy(file.bytes + offset, bytes, length);
}

static void put_number(uint64_t offset, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        file.bytes[offset + i] = (uint8_t)(value >> (8 * i));
    }
}

static struct image_info probe(uint64_t size)
{
    struct image_info info = {.type = IMAGE_TYPES};
    CHECK(image_probe_reader(read_file, &file, size, &info) == 0);
    CHECK(info.size == size);
    return info;
}

static void put_iso(uint32_t blocks, uint16_t block_size)
{
    put(32768, "\1CD001\1", 7);
    put_number(32768 + 80, blocks, 4);
    put_number(32768 + 128, block_size, 2);
    put(32768 + 2048, "\377CD001\1", 7);
}

/* A directory record; the name is one byte. Its length. */
static unsigned put_record(uint64_t offset, uint32_t block, uint32_t length, uint8_t flags,
                           char name)
{
    file.bytes[offset] = 34;
    put_number(offset + 2, block, 4);
    put_number(offset + 10, length, 4);
    file.bytes[offset + 25] = flags;
    file.bytes[offset + 32] = 1;
    file.bytes[offset + 33] = (uint8_t)name;
    return 34;
}

static void test_names(void)
{
    enum image_type type;

    for (int i = 0; i < IMAGE_TYPES; i++) {
        CHECK(image_type_from_name(image_type_name((enum image_type)i), &type) == 0);
        CHECK(type == (enum image_type)i);
    }
    CHECK(image_type_from_name("ntfs", &type) == -ENOENT);
    CHECK_TEXT(image_type_name(IMAGE_ISO9660), "iso9660");
}

static void test_raw(void)
{
    clear();
    for (uint64_t size = 0; size < 70000; size += 1021) {
        struct image_info info = probe(size);
        CHECK(info.type == IMAGE_RAW && info.needs == 0 && !info.has_iso9660);
    }
}

static void test_iso(void)
{
    clear();
    put_iso(1000, 2048);
    struct image_info info = probe(2048000);
    CHECK(info.type == IMAGE_ISO9660 && info.has_iso9660 && info.needs == 2048000);
    put_iso(UINT32_MAX, 2048);
    CHECK(probe(2048000).needs == UINT64_C(2048) * UINT32_MAX);
    put_iso(1000, 3);
    CHECK(probe(2048000).needs == 0);
    /* cut off inside and before the descriptor */
    CHECK(probe(32768).type == IMAGE_RAW);
    CHECK(probe(32768 + 6).type == IMAGE_ISO9660);
}

static void test_udf(void)
{
    clear();
    put(32768, "\0BEA01\1", 7);
    put(32768 + 2048, "\0NSR03\1", 7);
    put(32768 + 4096, "\0TEA01\1", 7);
    struct image_info info = probe(1 << 20);
    CHECK(info.type == IMAGE_UDF && !info.has_iso9660 && info.needs == 0);

    clear(); /* sectors of 4096 bytes */
    put(32768, "\0BEA01\1", 7);
    put(32768 + 4096, "\0NSR02\1", 7);
    CHECK(probe(1 << 20).type == IMAGE_UDF);

    clear(); /* behind the end of the sequence it is data */
    put(32768, "\0BEA01\1", 7);
    put(32768 + 4 * 2048, "\0NSR02\1", 7);
    CHECK(probe(1 << 20).type == IMAGE_RAW);
}

static void test_bridge(void)
{
    clear();
    put_iso(10, 2048);
    for (unsigned i = 1; i < 12; i++) { /* more descriptors than one read holds */
        put(32768 + i * 2048, "\2CD001\1", 7);
    }
    put(32768 + 12 * 2048, "\0BEA01\1", 7);
    put(32768 + 13 * 2048, "\0NSR02\1", 7);
    struct image_info info = probe(1 << 20);
    CHECK(info.type == IMAGE_UDF && info.has_iso9660 && info.needs == 0);
}

static void test_heads(void)
{
    clear();
    put(0, "hsqs", 4);
    put_number(40, UINT64_C(0x123456789ab), 8);
    struct image_info info = probe(5000);
    CHECK(info.type == IMAGE_SQUASHFS && info.needs == UINT64_C(0x123456789ab));

    clear();
    put_number(1024, 0xE0F5E1E2, 4);
    put_number(1024 + 12, 12, 1);
    put_number(1024 + 36, UINT32_MAX, 4);
    info = probe(5000);
    CHECK(info.type == IMAGE_EROFS && info.needs == UINT64_C(4096) * UINT32_MAX);
    put_number(1024 + 12, 255, 1);
    CHECK(probe(5000).needs == 0 && !probe(5000).other_devices);
    put_number(1024 + 80, 0xF, 4); /* features, among them the table of devices */
    CHECK(probe(5000).other_devices);

    clear();
    put_number(1024 + 56, 0xEF53, 2);
    put_number(1024 + 4, 100, 4);
    put_number(1024 + 24, 2, 4);
    put_number(1024 + 336, 1, 4); /* does not count without 64BIT */
    info = probe(5000);
    CHECK(info.type == IMAGE_EXT && info.needs == 409600);

    clear();
    put(0, "\xEB\x3C\x90", 3);
    put(54, "FAT16   ", 8);
    put_number(11, 512, 2);
    put_number(19, 2880, 2);
    info = probe(5000);
    CHECK(info.type == IMAGE_VFAT && info.needs == 1474560);
    put_number(19, 0, 2);
    put_number(32, UINT32_MAX, 4);
    put_number(11, UINT16_MAX, 2);
    CHECK(probe(5000).needs == UINT64_C(0xFFFFFFFF) * 0xFFFF);
    /* too short for its own header: zeros are read behind the end */
    CHECK(probe(57).type == IMAGE_VFAT);
    CHECK(probe(55).type == IMAGE_RAW);
}

/* A number of blocks whose bytes do not fit 64 bits is more than any file has. */
static void test_overflow(void)
{
    clear();
    put_number(1024 + 56, 0xEF53, 2);
    put_number(1024 + 96, 0x80, 4);
    put_number(1024 + 4, UINT32_MAX, 4);
    put_number(1024 + 336, UINT32_MAX, 4);
    put_number(1024 + 24, 6, 4);
    CHECK(probe(5000).needs == UINT64_MAX);
    put_number(1024 + 24, UINT32_MAX, 4);
    CHECK(probe(5000).needs == 0);
}

/* An ISO may begin with what looks like something else. */
static void test_order(void)
{
    clear();
    put(0, "\xEB\x3C\x90", 3);
    put(54, "FAT16   ", 8);
    put_iso(100, 2048);
    CHECK(probe(204800).type == IMAGE_ISO9660);
}

#define BIG (UINT64_C(5) << 30)

static void put_root(uint32_t block, uint32_t length)
{
    put_iso(1000, 2048);
    put_record(32768 + 156, block, length, 2, 0);
}

static void test_large_extents(void)
{
    clear();
    put_root(20, 2048);
    uint64_t at = 20 * 2048;
    at += put_record(at, 20, 2048, 2, 0);
    at += put_record(at, 20, 2048, 2, 1);
    at += put_record(at, 21, 4096, 2, 'D');
    CHECK(!probe(BIG).large_extents);
    put_record(22 * 2048, 30, 0xFFFFF800, 0x80, 'F'); /* the second sector of a subdirectory */
    CHECK(probe(BIG).large_extents);
    CHECK(!probe(1 << 30).large_extents); /* too small for a file of 4 GiB */
}

/* Directories that contain each other, and one as large as a number can say. */
static void test_large_extents_bounded(void)
{
    clear();
    put_root(20, UINT32_MAX);
    for (unsigned block = 20; block < 120; block++) {
        uint64_t at = block * 2048;
        for (unsigned i = 0; i < 60; i++) {
            at += put_record(at, 20 + i, UINT32_MAX, 2, 'D');
        }
    }
    file.reads = 0;
    CHECK(!probe(BIG).large_extents);
    CHECK(file.reads < 600);

    clear();
    put_root(UINT32_MAX, UINT32_MAX); /* behind the end */
    CHECK(!probe(BIG).large_extents);
    clear();
    put_root(20, 2048);
    memset(file.bytes + 20 * 2048, 0x7F, 2048); /* the last record is longer than the sector */
    CHECK(!probe(BIG).large_extents);
}

static void test_errors(void)
{
    struct image_info info = {.type = IMAGE_TYPES};
    CHECK(image_probe_reader(read_error, NULL, 100000, &info) == -EIO);
    CHECK(info.type == IMAGE_TYPES);
    CHECK(image_probe(-1, &info) == -EBADF);
}

/* Files of Debian packages: installed, or unpacked by tests/packages.sh. */
static void test_real(void)
{
    static const char *const paths[][2] = {
        {"grub-rescue-pc", "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"},
        {"ipxe", "/usr/lib/ipxe/ipxe.iso"},
        {"memtest86+", "/usr/lib/memtest86+/memtest86+x64.iso"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct image_info info;
        char unpacked[PATH_MAX];
        snprintf(unpacked, sizeof unpacked, CDSS_SOURCE "/build/packages/%s%s", paths[i][0],
                 paths[i][1]);
        CLEANUP_CLOSE int fd = open(paths[i][1], O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            fd = open(unpacked, O_RDONLY | O_CLOEXEC);
        }
        if (fd < 0) {
            printf("skip %s - not installed\n", paths[i][1]);
            continue;
        }
        CHECK(image_probe(fd, &info) == 0 && info.type == IMAGE_ISO9660);
        CHECK(info.needs > 0 && info.needs <= info.size && !info.large_extents);
    }
}

TEST_MAIN({"names go there and back", test_names}, {"anything else is raw", test_raw},
          {"iso9660", test_iso}, {"udf", test_udf}, {"a bridge is udf first", test_bridge},
          {"superblocks", test_heads}, {"claims that overflow", test_overflow},
          {"an ISO with a boot sector", test_order},
          {"files of several extents", test_large_extents},
          {"the search for them is bounded", test_large_extents_bounded}, {"errors", test_errors},
          {"real images", test_real})
