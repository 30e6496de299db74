/*
 * Ownership made visible: a variable that owns memory or a descriptor says so where it is declared,
 * and gives it up when it goes out of scope. TAKE_PTR and TAKE_FD hand the value over to somebody
 * else (a returned pointer, a field) and leave nothing behind to clean up.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_pointer(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_close_fd(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static inline void cleanup_close_directory(DIR **directory)
{
    if (*directory != NULL) {
        closedir(*directory);
    }
}

static inline void cleanup_close_file(FILE **file)
{
    if (*file != NULL) {
        fclose(*file);
    }
}

#define CLEANUP_FREE  __attribute__((cleanup(cleanup_free_pointer)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_fd)))
#define CLEANUP_DIR   __attribute__((cleanup(cleanup_close_directory)))
#define CLEANUP_FILE  __attribute__((cleanup(cleanup_close_file)))

#define TAKE_PTR(pointer)                                                                          \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
