/*
 * One character at a time made harmless, for text_add_printable(), the JSON writer and the log,
 * which has no heap. UTF-8 is read strictly (RFC 3629: nothing overlong, no surrogates). Harmful
 * are control characters (C0, DEL, C1), line and paragraph separators, and what changes the
 * direction of the text around it (U+202A-202E, U+2066-2069), because names that strangers chose
 * are shown on administrators' terminals.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ESCAPE_MAX 16 /* bytes that one character may become */

/* Takes the first character of `bytes` (length > 0), writes what stands for it into `out` (not
 * NUL-terminated) and returns how many bytes were taken, 1 to 4. */
typedef size_t escape_function(const char *bytes, size_t length, char out[ESCAPE_MAX],
                               size_t *ret_length);

escape_function escape_printable; /* \n, \t, \\, \xNN for each harmful or invalid byte */
escape_function escape_json;      /* inside of a JSON string; U+FFFD for an invalid byte */

/* The length of the UTF-8 character that `bytes` begin with, 1 to 4, or 0 when it is none. */
size_t escape_utf8(const char *bytes, size_t length, uint32_t *ret_code);
