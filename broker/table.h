/*
 * Tables for people: columns as wide as their widest cell, by the width that a terminal gives the
 * text (wcwidth(3)), so that names in any script line up. Needs a UTF-8 LC_CTYPE, which cli_run()
 * sets.
 */
#pragma once

#include "text.h"

struct table_column {
    const char *title; /* NULL in the first column: no line of titles */
    bool right;        /* numbers stand at the right */
};

struct table {
    const struct table_column *columns; /* borrowed */
    size_t n_columns;
    char **cells; /* row by row; owned */
    size_t n_cells, capacity;
    bool failed; /* out of memory; sticky, makes table_draw() fail */
};

#define CLEANUP_TABLE __attribute__((cleanup(table_free)))

void table_begin(struct table *table, const struct table_column *columns, size_t n_columns);
void table_free(struct table *table);

/* Fills the next cell, from left to right and row by row, with text from anywhere: it is made
 * printable. */
void table_cell(struct table *table, const char *content);
void table_cell_format(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "1.4 GB" */
void table_cell_size(struct table *table, unsigned long long bytes);

/* Appends the table, each line behind `indent`, to *out. 0 or -ENOMEM. */
int table_draw(const struct table *table, const char *indent, struct text *out);

/* Columns that a terminal needs for this text. */
size_t table_text_width(const char *string);
