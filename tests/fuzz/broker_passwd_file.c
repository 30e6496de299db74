/* Password files: whatever the bytes, entries keep their promises, and are found again after a line
 * was added or dropped. */
#include "passwd_file.h"

#include "cleanup.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define HASH "$y$j9T$6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN."

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct passwd_file *file, const struct passwd_entry *entry)
{
    size_t length = strlen(entry->hash);
    REQUIRE(entry->line > 0 && entry->cost > 0 && entry->cost <= PASSWD_COST_MAX);
    REQUIRE(entry->method != NULL && entry->hash[0] == '$' && length > 40);
    REQUIRE(strcspn(entry->hash, " \t\r\n:*!\\") == length);
    REQUIRE(passwd_label_parse(entry->label, NULL) == 0);
    REQUIRE(entry->label[0] == '\0' || passwd_file_find(file, entry->label) == entry);
}

static void check_file(const struct passwd_file *file)
{
    REQUIRE(file->n_entries <= PASSWD_ENTRIES_MAX);
    for (uint32_t i = 0; i < file->n_entries; i++) {
        check_entry(file, &file->entries[i]);
        REQUIRE(i == 0 || file->entries[i].line > file->entries[i - 1].line);
    }
    for (uint32_t i = 0; i < file->n_faults && i < PASSWD_FAULTS_MAX; i++) {
        REQUIRE(file->faults[i].line > 0 && file->faults[i].why != NULL);
    }
}

/* A hash without a label is an entry wherever there is room for one; dropping its line gives the
 * file back. */
static void add_and_drop(const char *text, size_t length, const struct passwd_file *before)
{
    CLEANUP_TEXT struct text longer = {0}, again = {0};
    static struct passwd_file file;
    passwd_file_add(text, length, HASH, "", &longer);
    REQUIRE(text_ok(&longer));
    passwd_file_parse(longer.data, longer.length, &file);
    check_file(&file);
    REQUIRE(file.n_entries + file.n_faults == before->n_entries + before->n_faults + 1);
    if (before->n_entries == PASSWD_ENTRIES_MAX) {
        return;
    }
    const struct passwd_entry *added = &file.entries[file.n_entries - 1];
    REQUIRE(strcmp(added->hash, HASH) == 0);
    passwd_file_drop(longer.data, longer.length, added->line, &again);
    REQUIRE(text_ok(&again) && again.length - length <= 1 &&
            (length == 0 || memcmp(again.data, text, length) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct passwd_file file;
    const char *text = size > 0 ? (const char *)data : "";
    passwd_file_parse(text, size, &file);
    check_file(&file);
    add_and_drop(text, size, &file);
    return 0;
}
