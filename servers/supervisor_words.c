/* Words lie one after the other, each with its NUL; an empty word is the end. */
#include "supervisor_words.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Bytes in use without the empty word at the end; the size of the buffer when there is no end. */
static size_t words_used(const struct supervisor_words *words)
{
    size_t used = 0;
    while (used < sizeof words->bytes && words->bytes[used] != '\0') {
        size_t length = strnlen(words->bytes + used, sizeof words->bytes - used);
        if (used + length >= sizeof words->bytes) {
            return sizeof words->bytes;
        }
        used += length + 1;
    }
    return used;
}

static int add_bytes(struct supervisor_words *words, const char *word, size_t length)
{
    size_t used = words_used(words);
    if (length == 0 || memchr(word, '\0', length) != NULL) {
        return -EINVAL;
    }
    if (used + length + 2 > sizeof words->bytes) {
        return -E2BIG;
    }
    memcpy(words->bytes + used, word, length);
    words->bytes[used + length] = '\0';
    words->bytes[used + length + 1] = '\0';
    return 0;
}

int words_add(struct supervisor_words *words, const char *word)
{
    return add_bytes(words, word, strlen(word));
}

int words_split(const char *line, struct supervisor_words *ret)
{
    struct supervisor_words words = {0};
    const char *argv[WORDS_MAX + 1], *env[WORDS_VALUE_MAX + 1];
    const char *word = line + strspn(line, " \t");
    while (*word != '\0') {
        size_t length = strcspn(word, " \t");
        int r = add_bytes(&words, word, length);
        if (r < 0) {
            return r;
        }
        word += length;
        word += strspn(word, " \t");
    }
    if (words_vectors(&words, argv, env) == -E2BIG) {
        return -E2BIG;
    }
    *ret = words;
    return 0;
}

static bool is_assignment(const char *word)
{
    return word[0] != '/' && strchr(word, '=') != NULL;
}

const char *words_program(const struct supervisor_words *words)
{
    const char *argv[WORDS_MAX + 1], *env[WORDS_VALUE_MAX + 1];
    return words_vectors(words, argv, env) == 0 ? argv[0] : NULL;
}

int words_vectors(const struct supervisor_words *words, const char *argv[WORDS_MAX + 1],
                  const char *env[WORDS_VALUE_MAX + 1])
{
    size_t n_argv = 0, n_env = 0;
    if (words_used(words) >= sizeof words->bytes) {
        return -EINVAL;
    }
    for (const char *word = words->bytes; *word != '\0'; word += strlen(word) + 1) {
        bool assignment = n_argv == 0 && is_assignment(word);
        if (assignment ? n_env == WORDS_VALUE_MAX : n_argv == WORDS_MAX) {
            return -E2BIG;
        }
        *(assignment ? &env[n_env++] : &argv[n_argv++]) = word;
    }
    argv[n_argv] = NULL;
    env[n_env] = NULL;
    return n_argv > 0 ? 0 : -EINVAL;
}
