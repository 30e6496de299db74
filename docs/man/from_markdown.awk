# Makes a manual page in mdoc(7) of a page of docs/, so that nothing is written down twice:
#
#   awk -v name=cdss-protocol -v section=7 -v title="..." -f from_markdown.awk ../protocol.md
#
# It knows as much of Markdown as those pages use: headings, paragraphs, lists, indented and fenced
# blocks, tables, code, bold, and links, of which the text remains. A row of a table becomes an item,
# which the first column names; of three columns or more, each says its header.

function escape(text) {
    gsub(/\\/, "\\e", text)
    return text
}

function inline(text) {
    text = escape(text)
    while (match(text, /\[[^]]*\]\([^)]*\)/)) {
        link = substr(text, RSTART, RLENGTH)
        sub(/^\[/, "", link)
        sub(/\].*/, "", link)
        text = substr(text, 1, RSTART - 1) link substr(text, RSTART + RLENGTH)
    }
    while (match(text, /\*\*[^*]*\*\*/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 2, RLENGTH - 4) "\\fR" \
            substr(text, RSTART + RLENGTH)
    while (match(text, /`[^`]*`/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fR" \
            substr(text, RSTART + RLENGTH)
    return text
}

# A sentence begins a line, as roff wants it.
function say(text) {
    while (match(text, /[.?!][)"']* +[A-Z0-9\\]/)) {
        say_line(substr(text, 1, RSTART + RLENGTH - 2))
        text = substr(text, RSTART + RLENGTH - 1)
    }
    say_line(text)
}

# A line of text must not begin like a request.
function say_line(text) {
    gsub(/^[ \n]+|[ \n]+$/, "", text)
    if (text ~ /^[.']/)
        text = "\\&" text
    if (text != "")
        print text
}

function end_paragraph() {
    if (paragraph == "")
        return
    if (!fresh)
        print ".Pp"
    say(inline(paragraph))
    paragraph = ""
    fresh = 0
}

function end_list() {
    end_paragraph_in_item()
    if (in_list)
        print ".El"
    in_list = 0
}

function end_paragraph_in_item() {
    if (item == "")
        return
    print ".It"
    say(inline(item))
    item = ""
}

function end_block() {
    if (in_block)
        print ".Ed"
    in_block = 0
    blank_lines = 0
}

function end_table() {
    if (in_table)
        print ".El"
    in_table = 0
}

function end_all() {
    end_paragraph()
    end_list()
    end_block()
    end_table()
}

function begin_block() {
    if (in_block)
        return
    end_paragraph()
    end_list()
    end_table()
    print ".Bd -literal -offset indent"
    in_block = 1
    fresh = 0
}

function block_line(text) {
    for (; blank_lines > 0; blank_lines--)
        print ""
    text = escape(text)
    if (text ~ /^[.']/)
        text = "\\&" text
    print text
}

# "| a | b |" into cells[1..n]; a \| is none.
function split_row(line, i, n) {
    gsub(/\\\|/, "\001", line)
    sub(/^\| */, "", line)
    sub(/ *\|$/, "", line)
    n = split(line, cells, / *\| */)
    for (i = 1; i <= n; i++)
        gsub("\001", "|", cells[i])
    return n
}

function table_row(line, i, n, rest) {
    n = split_row(line)
    if (!in_table) {
        end_paragraph()
        end_list()
        for (i = 1; i <= n; i++)
            header[i] = tolower(cells[i])
        return
    }
    if (cells[1] == "")
        print ".It \\&"
    else
        print ".It " inline(cells[1])
    if (n == 3 && header[3] == "default") {
        say(inline(cells[2]))
        say(cells[3] == "none" || cells[3] == "required" ? inline("(" cells[3] ")") \
            : inline("(default: " cells[3] ")"))
        return
    }
    if (header[2] == "kind" && n > 3) { # a field of a message
        say(cells[2] ", " cells[3] " to " cells[4] (cells[n] != "" ? ":" : "."))
        say(inline(cells[n]))
        return
    }
    for (i = 2; i <= n; i++)
        if (cells[i] != "")
            rest = rest (rest == "" ? "" : "; ") (n == 2 ? "" : header[i] " ") cells[i]
    say(inline(rest))
}

BEGIN {
    print ".\\\" Made by docs/man/from_markdown.awk."
    print ".Dd " date
    print ".Dt " toupper(name) " " section
    print ".Os CDSS"
    print ".Sh NAME"
    print ".Nm " name
    print ".Nd " title
    print ".Sh DESCRIPTION"
    fresh = 1
}

/^```/ {
    if (in_fence)
        end_block()
    else
        begin_block()
    in_fence = !in_fence
    next
}
in_fence { block_line($0); next }

/^# / { next }
/^###? / {
    end_all()
    print ($1 == "##" ? ".Sh " toupper(inline(substr($0, 4))) : ".Ss " inline(substr($0, 5)))
    fresh = 1
    next
}

/^    [^ ]/ && (in_block || (paragraph == "" && !in_list)) { begin_block(); block_line(substr($0, 5)); next }
/^     / && in_block { block_line(substr($0, 5)); next }

/^\|[-|]+\|?$/ {
    print ".Bl -tag -width Ds"
    in_table = 1
    fresh = 0
    next
}
/^\|/ { end_block(); table_row($0); next }

/^- / {
    end_paragraph()
    end_block()
    end_table()
    end_paragraph_in_item()
    if (!in_list)
        print ".Bl -bullet"
    in_list = 1
    fresh = 0
    item = substr($0, 3)
    next
}

/^$/ {
    if (in_block) {
        blank_lines++
        next
    }
    end_paragraph()
    end_list()
    end_table()
    next
}

{
    end_block()
    if (in_list)
        item = item " " $0
    else
        paragraph = paragraph (paragraph == "" ? "" : "\n") $0
}

END { end_all() }
