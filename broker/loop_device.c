/*
 * Between LOOP_CTL_GET_FREE and LOOP_CONFIGURE somebody else may take the device: that is EBUSY,
 * and one tries again. Waiting grows, so that several creators get out of each other's way.
 */
#include "loop_device.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define TRIES      64
#define SECTOR     512 /* the least block size: every filesystem raises it to its own */
#define PAUSE_NSEC (200 * 1000)

static int configure(int device_fd, int image_fd)
{
    const struct loop_config config = {
        .fd = (__u32)image_fd,
        .block_size = SECTOR,
        .info = {.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR, .lo_file_name = "cdss"},
    };
    return ioctl(device_fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
}

/* One try. A descriptor or a negative errno; *ret_step is what failed. */
static int attach(int control_fd, int image_fd, char path[LOOP_DEVICE_PATH_SIZE],
                  const char **ret_step)
{
    *ret_step = "no free loop device";
    int number = ioctl(control_fd, LOOP_CTL_GET_FREE);
    if (number < 0) {
        return -errno;
    }
    snprintf(path, LOOP_DEVICE_PATH_SIZE, "/dev/loop%d", number);
    *ret_step = path;
    CLEANUP_CLOSE int device_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (device_fd < 0) {
        return -errno;
    }
    int r = configure(device_fd, image_fd);
    return r < 0 ? r : TAKE_FD(device_fd);
}

static void pause_before(int next_try)
{
    struct timespec pause = {.tv_nsec = (long)next_try * PAUSE_NSEC};
    nanosleep(&pause, NULL);
}

int loop_device_attach(int image_fd, char ret_path[LOOP_DEVICE_PATH_SIZE], char *why,
                       size_t why_size)
{
    CLEANUP_CLOSE int control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const char *step = "";
    int r = -EBUSY;

    if (control_fd < 0) {
        r = -errno;
        snprintf(why, why_size, "/dev/loop-control: %s; is there a loop driver? (modprobe loop)",
                 strerror(-r));
        return r;
    }
    for (int i = 0; i < TRIES && r == -EBUSY; i++) {
        if (i > 0) {
            pause_before(i);
        }
        r = attach(control_fd, image_fd, ret_path, &step);
    }
    if (r < 0) {
        snprintf(why, why_size, "%s: %s", step, strerror(-r));
    }
    return r;
}
