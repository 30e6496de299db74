/*
 * What a share has in its tree and shows in its sandbox, against what its row says.
 */
#include "share_steps.h"

#include "cleanup.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

const char **share_paths(const struct registry_share *row)
{
    const char **paths = calloc(2 * (size_t)row->n_images + 1, sizeof *paths);

    for (uint32_t i = 0; paths != NULL && i < row->n_images; i++) {
        paths[2 * i] = row->images[i].path.text;
        paths[2 * i + 1] = row->images[i].contents; /* "" is no path in the tree */
    }
    return paths;
}

bool share_has_contents(const struct registry_share *row, const char *contents)
{
    for (uint32_t i = 0; i < row->n_images; i++) {
        if (strcmp(row->images[i].contents, contents) == 0) {
            return true;
        }
    }
    return false;
}

struct looking {
    const struct registry_share *row;
    bool found;
};

static void look_at(const char *contents, void *user_data)
{
    struct looking *looking = user_data;

    looking->found |= !share_has_contents(looking->row, contents);
}

bool share_has_strangers(const struct share *share)
{
    const struct registry_share *row = &share->row;
    struct looking looking = {.row = row};
    CLEANUP_FREE const char **paths = share_paths(row);

    if (sandbox_each_image(row->pid, look_at, &looking) < 0 || looking.found || paths == NULL) {
        return true;
    }
    return tree_has_strangers(share->broker->shares_fd, row->id, paths,
                              2 * (size_t)row->n_images) != 0;
}
