/* Cells are kept as one flat array; widths are taken when the table is drawn. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define GAP 2 /* blanks between columns */

void table_begin(struct table *table, const struct table_column *columns, size_t n_columns)
{
    *table = (struct table){.columns = columns, .n_columns = n_columns};
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->n_cells; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    *table = (struct table){0};
}

static bool table_grow(struct table *table)
{
    if (table->n_cells < table->capacity) {
        return true;
    }
    size_t capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
    char **cells = reallocarray(table->cells, capacity, sizeof *cells);
    if (cells == NULL) {
        return false;
    }
    table->cells = cells;
    table->capacity = capacity;
    return true;
}

/* Takes the text, and leaves it empty. */
static void table_take(struct table *table, struct text *content)
{
    char *cell = text_ok(content) ? text_take(content) : NULL;
    if (cell == NULL || !table_grow(table)) {
        table->failed = true;
        free(cell);
        text_free(content);
        return;
    }
    table->cells[table->n_cells++] = cell;
}

void table_cell(struct table *table, const char *content)
{
    struct text printable = {0};
    text_add_printable(&printable, content, strlen(content));
    table_take(table, &printable);
}

void table_cell_format(struct table *table, const char *format, ...)
{
    CLEANUP_TEXT struct text content = {0};
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&content, format, arguments);
    va_end(arguments);
    if (!text_ok(&content) || content.data == NULL) {
        table->failed = table->failed || !text_ok(&content);
        table_cell(table, "");
        return;
    }
    table_cell(table, content.data);
}

void table_cell_size(struct table *table, unsigned long long bytes)
{
    struct text content = {0};
    text_add_size(&content, bytes);
    table_take(table, &content);
}

size_t table_text_width(const char *string)
{
    mbstate_t state = {0};
    size_t width = 0;
    for (const char *end = string + strlen(string); string < end;) {
        wchar_t character;
        size_t used = mbrtowc(&character, string, (size_t)(end - string), &state);
        if (used == 0 || used == (size_t)-1 || used == (size_t)-2) {
            state = (mbstate_t){0};
            used = 1;
            character = L'?';
        }
        int columns = wcwidth(character);
        width += columns >= 0 ? (size_t)columns : 1;
        string += used;
    }
    return width;
}

static void add_blanks(struct text *out, size_t count)
{
    for (; count > 0; count--) {
        text_append(out, " ", 1);
    }
}

static size_t column_width(const struct table *table, size_t column)
{
    const char *title = table->columns[column].title;
    size_t width = title != NULL ? table_text_width(title) : 0;
    for (size_t i = column; i < table->n_cells; i += table->n_columns) {
        size_t cell = table_text_width(table->cells[i]);
        width = cell > width ? cell : width;
    }
    return width;
}

/* `pending` are blanks that are owed before the next text: so no line ends in blanks. */
static void draw_cell(const char *content, size_t width, bool right, size_t *pending,
                      struct text *out)
{
    size_t blanks = width - table_text_width(content);
    if (content[0] == '\0') {
        *pending += width + GAP;
        return;
    }
    add_blanks(out, *pending + (right ? blanks : 0));
    text_add(out, content);
    *pending = (right ? 0 : blanks) + GAP;
}

int table_draw(const struct table *table, const char *indent, struct text *out)
{
    size_t *widths = calloc(table->n_columns, sizeof *widths);
    if (widths == NULL || table->failed) {
        free(widths);
        return -ENOMEM;
    }
    for (size_t column = 0; column < table->n_columns; column++) {
        widths[column] = column_width(table, column);
    }
    bool titles = table->columns[0].title != NULL;
    size_t rows = (table->n_cells + table->n_columns - 1) / table->n_columns;
    for (size_t row = 0; row < rows + titles; row++) {
        size_t pending = 0;
        text_add(out, indent);
        for (size_t column = 0; column < table->n_columns; column++) {
            size_t cell = (row - titles) * table->n_columns + column;
            const char *content = titles && row == 0      ? table->columns[column].title
                                  : cell < table->n_cells ? table->cells[cell]
                                                          : "";
            draw_cell(content, widths[column], table->columns[column].right, &pending, out);
        }
        text_add(out, "\n");
    }
    free(widths);
    return text_ok(out) ? 0 : -ENOMEM;
}
