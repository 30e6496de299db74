/*
 * What the running kernel can do with each type of image: whether it has the driver, what the
 * driver is called, how it is to be mounted, since when it can be id-mapped.
 */
#pragma once

#include "image.h"

#define IMAGE_OPTIONS_MAX 6

/* A mount option as fsconfig(2) takes it; a flag has no value. */
struct image_option {
    const char *key, *value;
};

/* The driver's name ("ext4" for IMAGE_EXT); NULL for IMAGE_RAW. */
const char *image_kernel_type(enum image_type type);

/* The driver's options beside "ro", ended by {NULL, NULL}. Drivers whose mounts cannot be id-mapped
 * make every file readable; a damaged filesystem is never a reason to panic or to write. */
const struct image_option *image_kernel_options(enum image_type type);

/* True when fsopen(2) finds the filesystem; it may load a module for that, hence an answer is
 * believed for some seconds. False also without the right to mount. */
bool image_kernel_has(const char *filesystem);
