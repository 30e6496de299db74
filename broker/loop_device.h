/*
 * A loop device over an open image: LOOP_CTL_GET_FREE and one LOOP_CONFIGURE with
 * LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR (loop(4)). The device goes by itself when its last user
 * goes, at first the returned descriptor.
 */
#pragma once

#include <stddef.h>

#define LOOP_DEVICE_PATH_SIZE 32

/* A descriptor of the device, owned by the caller, and its path; or a negative errno with a
 * sentence in `why`. -EBUSY: no free device after many tries. */
int loop_device_attach(int image_fd, char ret_path[LOOP_DEVICE_PATH_SIZE], char *why,
                       size_t why_size);
