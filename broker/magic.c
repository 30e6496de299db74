/*
 * Two reads say what an image is: its first 2 KiB, and the descriptors from 32 KiB on. Layouts:
 * ECMA-119 8 (ISO 9660), ECMA-167 2/8 and 2/9 (UDF), and the kernel's squashfs_fs.h, erofs_fs.h,
 * ext4.h and msdos_fs.h.
 */
#include "magic.h"

#include "cleanup.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_SIZE         2048u
#define DESCRIPTORS_START 32768u
#define DESCRIPTORS_CHUNK 8u  /* sectors in a read; enough for all but a few images */
#define DESCRIPTORS_MAX   64u /* sectors looked at: a volume has fewer than ten */

static const char *const names[IMAGE_TYPES] = {
    [IMAGE_RAW] = "raw",           [IMAGE_ISO9660] = "iso9660", [IMAGE_UDF] = "udf",
    [IMAGE_SQUASHFS] = "squashfs", [IMAGE_EROFS] = "erofs",     [IMAGE_EXT] = "ext",
    [IMAGE_VFAT] = "vfat",
};

const char *image_type_name(enum image_type type)
{
    return (unsigned)type < IMAGE_TYPES ? names[type] : names[IMAGE_RAW];
}

int image_type_from_name(const char *name, enum image_type *ret)
{
    for (unsigned i = 0; i < IMAGE_TYPES; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret = (enum image_type)i;
            return 0;
        }
    }
    return -ENOENT;
}

ssize_t magic_read(const struct magic_source *source, uint8_t *buffer, size_t length,
                   uint64_t offset)
{
    memset(buffer, 0, length);
    if (offset >= source->size) {
        return 0;
    }
    if (length > source->size - offset) {
        length = (size_t)(source->size - offset);
    }
    return source->reader(source->source, buffer, length, offset);
}

/* a * b, or the highest number where that does not fit: more than any file has. */
static uint64_t bytes_claimed(uint64_t blocks, uint64_t block_size)
{
    uint64_t product;
    return __builtin_mul_overflow(blocks, block_size, &product) ? UINT64_MAX : product;
}

/* What a head's superblock claims: 0 where it makes no sense (the kernel will refuse it). */
static uint64_t squashfs_needs(const uint8_t *head)
{
    return magic_le64(head + 40);
}

static uint64_t erofs_needs(const uint8_t *head)
{
    unsigned bits = head[1024 + 12];
    return bits >= 9 && bits <= 16 ? bytes_claimed(magic_le32(head + 1024 + 36), 1u << bits) : 0;
}

static uint64_t ext_needs(const uint8_t *head)
{
    const uint8_t *super = head + 1024;
    uint64_t blocks = magic_le32(super + 4);
    uint32_t bits = magic_le32(super + 24);

    if ((magic_le32(super + 96) & 0x80) != 0) { /* INCOMPAT_64BIT */
        blocks |= (uint64_t)magic_le32(super + 336) << 32;
    }
    return bits <= 6 ? bytes_claimed(blocks, UINT64_C(1024) << bits) : 0;
}

static uint64_t vfat_needs(const uint8_t *head)
{
    uint32_t sectors = magic_le16(head + 19);
    return bytes_claimed(sectors != 0 ? sectors : magic_le32(head + 32), magic_le16(head + 11));
}

static bool is_squashfs(const uint8_t *head)
{
    return memcmp(head, "hsqs", 4) == 0;
}

static bool is_erofs(const uint8_t *head)
{
    return magic_le32(head + 1024) == 0xE0F5E1E2;
}

static bool is_ext(const uint8_t *head)
{
    return magic_le16(head + 1024 + 56) == 0xEF53;
}

static bool is_vfat(const uint8_t *head)
{
    return head[0] == 0xEB && head[2] == 0x90 &&
           (memcmp(head + 54, "FAT", 3) == 0 || memcmp(head + 82, "FAT", 3) == 0);
}

static bool erofs_names_devices(const uint8_t *head)
{
    return (magic_le32(head + 1024 + 80) & 0x8) != 0; /* INCOMPAT_DEVICE_TABLE */
}

static const struct {
    enum image_type type;
    bool (*is)(const uint8_t *head);
    uint64_t (*needs)(const uint8_t *head);
} head_rows[] = {
    {IMAGE_SQUASHFS, is_squashfs, squashfs_needs},
    {IMAGE_EROFS, is_erofs, erofs_needs},
    {IMAGE_EXT, is_ext, ext_needs},
    {IMAGE_VFAT, is_vfat, vfat_needs},
};

/* What the descriptors from 32 KiB on say. */
struct volume {
    bool udf, iso9660;
    uint8_t primary[ISO_SECTOR]; /* the primary volume descriptor, when iso9660 */
};

enum { NOT_A_DESCRIPTOR, DESCRIPTOR };

static int read_descriptor(const uint8_t *sector, struct volume *volume)
{
    static const char extended[][6] = {"BEA01", "TEA01", "BOOT2", "CDW02"};
    const uint8_t *id = sector + 1;

    if (memcmp(id, "CD001", 5) == 0) {
        if (sector[0] == 1 && !volume->iso9660) {
            volume->iso9660 = true;
            memcpy(volume->primary, sector, sizeof volume->primary);
        }
        return DESCRIPTOR;
    }
    if (memcmp(id, "NSR02", 5) == 0 || memcmp(id, "NSR03", 5) == 0) {
        volume->udf = true;
        return DESCRIPTOR;
    }
    for (size_t i = 0; i < ARRAY_SIZE(extended); i++) {
        if (memcmp(id, extended[i], 5) == 0) {
            return DESCRIPTOR;
        }
    }
    return NOT_A_DESCRIPTOR;
}

/* One descriptor a sector; media with sectors of 4096 bytes leave every second one empty, so one
 * that is none is passed over and two of them end the sequence. */
static int read_volume(const struct magic_source *source, struct volume *ret)
{
    uint8_t chunk[DESCRIPTORS_CHUNK * ISO_SECTOR];
    unsigned misses = 0;

    ret->udf = ret->iso9660 = false;
    for (unsigned i = 0; i < DESCRIPTORS_MAX && misses < 2; i++) {
        unsigned place = i % DESCRIPTORS_CHUNK;
        if (place == 0) {
            ssize_t r = magic_read(source, chunk, sizeof chunk, DESCRIPTORS_START + i * ISO_SECTOR);
            if (r <= 0) {
                return (int)r;
            }
        }
        misses = read_descriptor(chunk + place * ISO_SECTOR, ret) == DESCRIPTOR ? 0 : misses + 1;
    }
    return 0;
}

static uint64_t iso_needs(const uint8_t *primary)
{
    unsigned block = magic_le16(primary + 128);
    return block == 512 || block == 1024 || block == 2048
               ? bytes_claimed(magic_le32(primary + 80), block)
               : 0;
}

/* A volume's type. On a bridge UDF comes first: Windows' media keep their files there and nothing
 * but a notice in the other half. */
static int describe_volume(const struct magic_source *source, const struct volume *volume,
                           struct image_info *info)
{
    info->has_iso9660 = volume->iso9660;
    info->type = volume->udf ? IMAGE_UDF : IMAGE_ISO9660;
    if (info->type == IMAGE_ISO9660) {
        info->needs = iso_needs(volume->primary);
    }
    /* A file of several extents has at least one of 4 GiB less a sector. */
    if (volume->iso9660 && source->size > UINT32_MAX - ISO_SECTOR) {
        int r = magic_large_extents(source, volume->primary);
        if (r < 0) {
            return r;
        }
        info->large_extents = r > 0;
    }
    return 0;
}

static void describe_head(const uint8_t *head, struct image_info *info)
{
    for (size_t i = 0; i < ARRAY_SIZE(head_rows); i++) {
        if (head_rows[i].is(head)) {
            info->type = head_rows[i].type;
            info->needs = head_rows[i].needs(head);
            info->other_devices = info->type == IMAGE_EROFS && erofs_names_devices(head);
            return;
        }
    }
}

/* The descriptors go before the head: the first 32 KiB of an ISO are anybody's (boot sectors that
 * look like FAT), while no other filesystem has those descriptors where they are. */
int image_probe_reader(image_reader *reader, void *source, uint64_t size, struct image_info *ret)
{
    const struct magic_source bounded = {reader, source, size};
    struct image_info info = {.type = IMAGE_RAW, .size = size};
    struct volume volume;
    uint8_t head[HEAD_SIZE];

    int r = read_volume(&bounded, &volume);
    if (r == 0 && (volume.udf || volume.iso9660)) {
        r = describe_volume(&bounded, &volume, &info);
    } else if (r == 0) {
        ssize_t got = magic_read(&bounded, head, sizeof head, 0);
        r = got < 0 ? (int)got : 0;
        describe_head(head, &info);
    }
    if (r == 0) {
        *ret = info;
    }
    return r;
}

static ssize_t read_fd(void *source, void *buffer, size_t length, uint64_t offset)
{
    const int *fd = source;
    ssize_t got;

    do {
        got = pread(*fd, buffer, length, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

int image_probe(int fd, struct image_info *ret)
{
    struct stat status;

    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    return image_probe_reader(read_fd, &fd, (uint64_t)status.st_size, ret);
}
