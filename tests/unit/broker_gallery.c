/* Who holds which image. What workers would mount is a tmpfs here, in a mount namespace of the
 * test's own. */
#include "gallery.h"

#include "beneath.h"
#include "cleanup.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char place[] = "/tmp/cdss-unit-gallery.XXXXXX";
static struct gallery *gallery;
static const struct gallery_key one = {.device = 1, .inode = 1, .size = 10, .modified_ns = 5};
static const struct gallery_key two = {.device = 1, .inode = 2, .size = 10, .modified_ns = 5};

static void set_up(void)
{
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mkdtemp(place) != NULL);
}

static void tear_down(void)
{
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(beneath_remove(tmp, place + strlen("/tmp/"), 100) == 0);
    close(tmp);
}

static unsigned mounts_below(void)
{
    CLEANUP_FILE FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[4096];
    unsigned n = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        n += strstr(line, place) != NULL;
    }
    return n;
}

static void begin(uint32_t max_mounts)
{
    CHECK(gallery_open(place, max_mounts, &gallery) == 0);
    CHECK(mounts_below() == 1);
}

static void end(void)
{
    char path[100];

    gallery_close(gallery);
    CHECK(mounts_below() == 0);
    snprintf(path, sizeof path, "%s/gallery", place);
    CHECK(faccessat(AT_FDCWD, path, F_OK, 0) < 0 && errno == ENOENT);
}

static void mount_at(uint32_t slot)
{
    char path[64];
    CLEANUP_CLOSE int fd = gallery_directory(gallery, slot);

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(fd >= 0 && mount("none", path, "tmpfs", 0, "size=4k") == 0);
}

static void held_by_two(void)
{
    uint32_t first = 99, second = 99;

    begin(0);
    CHECK(gallery_look(gallery, &one) == GALLERY_MOUNT);
    CHECK(gallery_hold(gallery, &one, &first) == 0);
    CHECK(gallery_look(gallery, &one) == GALLERY_BUSY);
    CHECK(gallery_hold(gallery, &one, &second) == -EBUSY && second == 99);
    mount_at(first);
    gallery_settle(gallery, first, true);
    CHECK(gallery_look(gallery, &one) == GALLERY_MOUNTED);
    CHECK(gallery_hold(gallery, &one, &second) == 0 && second == first);
    CHECK(gallery_count(gallery) == 1 && mounts_below() == 2);
    gallery_release(gallery, first);
    CHECK(gallery_look(gallery, &one) == GALLERY_MOUNTED && mounts_below() == 2);
    gallery_release(gallery, second);
    CHECK(gallery_count(gallery) == 0 && mounts_below() == 1);
    end();
}

/* Also when the one who was to mount died between mounting and saying so. */
static void failed_to_mount(void)
{
    for (unsigned mounted = 0; mounted < 2; mounted++) {
        uint32_t slot = 99, again = 99;
        begin(0);
        CHECK(gallery_hold(gallery, &one, &slot) == 0);
        if (mounted) {
            mount_at(slot);
        }
        gallery_settle(gallery, slot, false);
        CHECK(gallery_count(gallery) == 0 && mounts_below() == 1);
        gallery_settle(gallery, slot, true); /* nobody's any more */
        gallery_release(gallery, slot);
        CHECK(gallery_look(gallery, &one) == GALLERY_MOUNT);
        CHECK(gallery_hold(gallery, &one, &again) == 0 && again != slot);
        end();
    }
}

static void settled_twice(void)
{
    uint32_t slot = 99;

    begin(0);
    CHECK(gallery_hold(gallery, &one, &slot) == 0);
    gallery_settle(gallery, slot, true);
    gallery_settle(gallery, slot, false); /* too late: others may hold it */
    CHECK(gallery_look(gallery, &one) == GALLERY_MOUNTED);
    end();
}

static void another_file_of_that_name(void)
{
    struct gallery_key changed[] = {one, one, one, one};
    uint32_t slot;

    begin(0);
    CHECK(gallery_hold(gallery, &one, &slot) == 0);
    gallery_settle(gallery, slot, true);
    changed[0].device++;
    changed[1].inode++;
    changed[2].size++;
    changed[3].modified_ns++;
    for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
        CHECK(gallery_look(gallery, &changed[i]) == GALLERY_MOUNT);
    }
    end();
}

static void full(void)
{
    uint32_t slot, other = 99;

    begin(1);
    CHECK(gallery_hold(gallery, &one, &slot) == 0);
    CHECK(gallery_look(gallery, &two) == GALLERY_FULL);
    CHECK(gallery_hold(gallery, &two, &other) == -ENOSPC && other == 99);
    gallery_settle(gallery, slot, true);
    CHECK(gallery_look(gallery, &one) == GALLERY_MOUNTED); /* one that is there is no new one */
    gallery_release(gallery, slot);
    CHECK(gallery_look(gallery, &two) == GALLERY_MOUNT);
    end();
}

/* A share's clone goes on showing the image. */
static void clones_stay(void)
{
    uint32_t slot;

    begin(0);
    CHECK(gallery_hold(gallery, &one, &slot) == 0);
    mount_at(slot);
    CLEANUP_CLOSE int at = gallery_directory(gallery, slot);
    CHECK(mkdirat(at, "inside", 0700) == 0);
    CLEANUP_CLOSE int clone =
        open_tree(at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    gallery_settle(gallery, slot, true);
    gallery_release(gallery, slot);
    CHECK(clone >= 0 && mounts_below() == 1);
    CHECK(faccessat(clone, "inside", F_OK, 0) == 0);
    end();
}

static void closing_unmounts_all(void)
{
    uint32_t slots[3];

    begin(0);
    for (uint64_t i = 0; i < 3; i++) {
        struct gallery_key key = {.inode = i};
        CHECK(gallery_hold(gallery, &key, &slots[i]) == 0);
        mount_at(slots[i]);
        gallery_settle(gallery, slots[i], true);
    }
    CHECK(mounts_below() == 4);
    end();
}

static void opening_fails_and_leaves_nothing(void)
{
    struct rlimit before, none;
    struct gallery *no = NULL;
    char path[100];

    snprintf(path, sizeof path, "%s/gallery", place);
    CHECK(gallery_open("/proc/nothing", 0, &no) < 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    int r = gallery_open(place, 0, &no);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(r == -EMFILE && no == NULL && mounts_below() == 0);
    CHECK(faccessat(AT_FDCWD, path, F_OK, 0) < 0 && errno == ENOENT);
}

TEST_MAIN({"set up", set_up}, {"an image held by two", held_by_two},
          {"an image that could not be mounted", failed_to_mount},
          {"what was settled stays so", settled_twice},
          {"another file is another image", another_file_of_that_name}, {"full", full},
          {"clones stay", clones_stay}, {"closing unmounts all", closing_unmounts_all},
          {"opening fails and leaves nothing", opening_fails_and_leaves_nothing},
          {"nothing is left", tear_down})
