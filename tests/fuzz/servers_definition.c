/* server.conf from hostile bytes: it is read or refused, and what was read is freed. */
#include "definition.h"
#include "supervisor_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct definition definition;
    struct conf_error error;
    struct supervisor_words words;
    if (definition_parse("ftp", (const char *)data, size, &definition, &error) < 0) {
        return 0;
    }
    if (words_split(definition.program, &words) == 0 && words_program(&words) == NULL) {
        __builtin_trap(); /* the loader lets no command line without a program through */
    }
    definition_clear(&definition);
    return 0;
}
