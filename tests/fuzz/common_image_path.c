/* Image paths: what is taken stays in the repository, names no password file and comes back from
 * its own text; each directory above an image is a path, too. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_component(const char *name, size_t length)
{
    REQUIRE(length > 0 && length <= 255);
    REQUIRE(!(length == 1 && name[0] == '.') && !(length == 2 && memcmp(name, "..", 2) == 0));
    REQUIRE(length < 7 || memcmp(name + length - 7, ".passwd", 7) != 0);
    for (size_t i = 0; i < length; i++) {
        REQUIRE((unsigned char)name[i] >= ' ' && name[i] != 0x7f && name[i] != '/');
    }
}

static void check_parents(const struct image_path *path)
{
    struct image_path parent = *path, parsed;
    for (char *slash; (slash = strrchr(parent.text, '/')) != NULL;) {
        check_component(slash + 1, strlen(slash + 1));
        *slash = '\0';
        REQUIRE(parse_image_path(parent.text, strlen(parent.text), &parsed, NULL) == 0);
        REQUIRE(strcmp(parsed.text, parent.text) == 0);
    }
    check_component(parent.text, strlen(parent.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_path path;
    const char *why = NULL, *text = size > 0 ? (const char *)data : "";
    if (parse_image_path(text, size, &path, &why) < 0) {
        REQUIRE(why != NULL && why[0] != '\0');
        return 0;
    }
    REQUIRE(why == NULL && strlen(path.text) == size && memcmp(path.text, text, size) == 0);
    REQUIRE(size <= IMAGE_PATH_MAX && path.text[0] != '/');
    check_parents(&path);
    return 0;
}
