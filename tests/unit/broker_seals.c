/*
 * What was judged is what is linked: the preparing worker opens images, with a file or a password
 * changed between the gate and it.
 */
#include "beneath.h"
#include "cleanup.h"
#include "guards.h"
#include "prepare_job.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH  "$y$j9T$6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN."
#define OTHER "$5$g9lRz4SMa9zxFyhJ$BwgRyUEc1BgAh2RqYhjfVKHbPOxooih4aluKoB6HcT/"

static char root[] = "/tmp/cdss-seals-XXXXXX";
static struct broker broker;
static struct share share;
static struct preparation preparation;
static struct job job;

static void write_file(const char *path, const char *text)
{
    CLEANUP_CLOSE int file =
        openat(broker.images_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
}

/* As the gate does. */
static struct gate_seal seal(const char *path)
{
    struct guards guards = {.repository_fd = broker.images_fd};
    struct guards_way way;
    CHECK(guards_walk(&guards, path, &way) == 0);
    guards_free(&guards);
    return (struct gate_seal){
        .sealed = true, .device = way.device, .inode = way.inode, .guards = way.digest};
}

static void begin(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
    CHECK(mkdir(root, 0755) == 0);
    broker = (struct broker){.shares_fd = -1};
    settings_defaults(&broker.settings);
    broker.images_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(broker.images_fd, "a", 0755) == 0);
    write_file("a/x.bin", "image");
    write_file("a/.passwd", HASH);
    preparation = (struct preparation){.n_images = 1};
    CHECK(parse_image_path("a/x.bin", 7, &preparation.images[0], NULL) == 0);
    preparation.seals[0] = seal("a/x.bin");
}

static int open_images(void)
{
    job = (struct job){
        .broker = &broker, .share = &share, .preparation = &preparation, .n_images = 1};
    int r = job_open_images(&job);
    if (job.images[0].file.fd >= 0) {
        close(job.images[0].file.fd);
    }
    return r;
}

static void changed(void)
{
    CHECK(open_images() == -ESTALE);
    CHECK_TEXT(job.failed.field, "image");
    CHECK_TEXT(job.failed.sentence, "The image \"a/x.bin\" or a password for it was just being "
                                    "changed; try again in a moment.");
    close(broker.images_fd);
}

static void nothing_has_changed(void)
{
    begin();
    CHECK(open_images() == 0);
    CHECK(sha256_equal(&job.images[0].row.guards, &preparation.seals[0].guards));
    write_file("a/.passwd", "# said otherwise\n" HASH " label\n");
    CHECK(open_images() == 0);
    close(broker.images_fd);
}

static void another_file_has_come(void)
{
    begin();
    write_file("a/new", "secret");
    CHECK(renameat(broker.images_fd, "a/new", broker.images_fd, "a/x.bin") == 0);
    changed();
}

static void another_password_has_come(void)
{
    begin();
    write_file("a/.passwd", OTHER);
    changed();
}

static void a_guard_has_come(void)
{
    begin();
    write_file("a/x.bin.passwd", HASH);
    changed();
}

static void a_guard_has_gone(void)
{
    begin();
    CHECK(unlinkat(broker.images_fd, "a/.passwd", 0) == 0);
    changed();
}

/* The same file in another directory of this name, which is guarded otherwise. */
static void another_directory_has_come(void)
{
    begin();
    CHECK(mkdirat(broker.images_fd, "b", 0755) == 0);
    CHECK(linkat(broker.images_fd, "a/x.bin", broker.images_fd, "b/x.bin", 0) == 0);
    write_file("b/.passwd", OTHER);
    CHECK(renameat(broker.images_fd, "a", broker.images_fd, "old") == 0);
    CHECK(renameat(broker.images_fd, "b", broker.images_fd, "a") == 0);
    changed();
}

static void an_administrator_has_no_seal(void)
{
    begin();
    preparation.seals[0] = (struct gate_seal){0};
    write_file("a/.passwd", OTHER);
    CHECK(open_images() == 0);
    const struct gate_seal now = seal("a/x.bin");
    CHECK(sha256_equal(&job.images[0].row.guards, &now.guards));
    close(broker.images_fd);
}

static void set_up(void)
{
    CHECK(mkdtemp(root) != NULL);
}

static void tear_down(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
}

TEST_MAIN({"a directory to work in", set_up}, {"nothing has changed", nothing_has_changed},
          {"another file has come", another_file_has_come},
          {"another password has come", another_password_has_come},
          {"a guard has come", a_guard_has_come}, {"a guard has gone", a_guard_has_gone},
          {"another directory has come", another_directory_has_come},
          {"an administrator has no seal", an_administrator_has_no_seal},
          {"and away with it", tear_down})
