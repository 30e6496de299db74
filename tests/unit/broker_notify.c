/* Notifications, received on sockets of both kinds, and what is no address of one. */
#include "cleanup.h"
#include "notify.h"
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket bound to path, or for NULL to an abstract name of the kernel's choice, in *ret_name. */
static int listen_on(const char *path, char *ret_name, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(sa_family_t); /* autobind, unix(7) */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (path != NULL) {
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        length = sizeof address;
    }
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0) {
        return -1;
    }
    length = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &length);
    if (path == NULL) {
        snprintf(ret_name, size, "@%.*s", (int)(length - sizeof(sa_family_t) - 1),
                 address.sun_path + 1);
    } else {
        snprintf(ret_name, size, "%s", path);
    }
    return fd;
}

static void expect_received(int fd, const char *want)
{
    char got[200] = "";
    ssize_t length = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    CHECK(length == (ssize_t)strlen(want));
    CHECK_TEXT(got, want);
}

static void tells(const char *path)
{
    char name[108] = "";
    CLEANUP_CLOSE int fd = listen_on(path, name, sizeof name);
    CHECK(fd >= 0);
    setenv("NOTIFY_SOCKET", name, 1);
    CHECK(notify_tell("READY=1\nSTATUS=%u shares", 3u) == 1);
    expect_received(fd, "READY=1\nSTATUS=3 shares");
    CHECK(notify_tell("STOPPING=1") == 1);
    expect_received(fd, "STOPPING=1");
    unsetenv("NOTIFY_SOCKET");
    CHECK(notify_tell("READY=1") == 0);
    CHECK(recv(fd, name, sizeof name, MSG_DONTWAIT) < 0);
}

static void tells_a_path(void)
{
    char directory[] = "/tmp/cdss-notify.XXXXXX", path[64];
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/socket", directory);
    tells(path);
    unlink(path);
    rmdir(directory);
}

static void tells_a_name(void)
{
    tells(NULL);
}

static void fails_quietly(void)
{
    char longer[200] = "/";
    memset(longer + 1, 'x', sizeof longer - 2);
    const struct {
        const char *name;
        int want;
    } rows[] = {{"", -EINVAL},
                {"relative", -EINVAL},
                {"@", -EINVAL},
                {longer, -ENAMETOOLONG},
                {"/proc/nothing/socket", -ENOENT},
                {"@cdss-nobody-is-there", -ECONNREFUSED}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        setenv("NOTIFY_SOCKET", rows[i].name, 1);
        CHECK(notify_tell("READY=1") == rows[i].want);
    }
    unsetenv("NOTIFY_SOCKET");
}

TEST_MAIN({"a notification arrives at a path", tells_a_path},
          {"a notification arrives at an abstract name", tells_a_name},
          {"what is no socket is an error and nothing else", fails_quietly})
