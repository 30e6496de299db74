# A share that others must not disturb: one client, one long download that goes on all the time.
# Sourced by scenarios that kill cdssd.
# shellcheck shell=bash disable=SC2034,SC2154

# Makes the share "bystander" for client 3 and begins its download; residue_* then sees it as part
# of an idle system.
bystander_begin() {
    image_random bystander.bin 100000000
    expect_ok "a bystander" cdss share create bystander --image bystander.bin \
        --client "$(client4 3)" --protocol http --for 60m || exit 1
    client_exec 3 python3 "$net_dir/tools/patient.py" "http://$server4:8080/bystander.bin" 300000 \
        "$environment_dir/bystander.flag" "$out/bystander" </dev/null >/dev/null 2>&1 &
    bystander=$!
    background+=("$bystander")
    wait_for 10 test -e "$out/bystander.began"
    verdict $? "its download has begun"
    bystander_id=$(share_field bystander 'share["id"]')
    bystander_mark=$(registry_read "SELECT mark FROM shares WHERE id = '$bystander_id'")
}

bystander_end() {
    [ ! -e "$out/bystander" ]
    verdict $? "the bystander's download has gone on all the time"
    : >"$environment_dir/bystander.flag"
    wait_for 20 test -e "$out/bystander"
    sha256sum <"${setting[repository.images]}/bystander.bin" | grep -q "^$(cut -d' ' -f1 "$out/bystander") "
    verdict $? "it is whole: $(cat "$out/bystander" 2>/dev/null)"
    echo >"$environment_dir/idle.broker" # of a system with it
}

registry_read() { # SQL
    sqlite3 -readonly -cmd '.timeout 1000' "${setting[broker.state]}/registry.sqlite" "$1"
}

# Is a share what the registry says of it? Compares what cdssd answered (`cdss --json share show`, in
# FILE) with its row, with the deadline that the supervisors trust, and with the seconds that may be
# left, two alternatives, give or take what a busy machine takes. Prints what does not match, and
# leaves the paths of its images in $share_paths, with a "|" behind each.
share_compare() { # FILE SECONDS [SECONDS]
    local id
    id=$(sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p' "$1" | head -n 1)
    sqlite3 -readonly -cmd '.timeout 1000' "${setting[broker.state]}/registry.sqlite" "
WITH answer AS (SELECT CAST(readfile('$1') AS TEXT) AS j),
    trusted AS (SELECT hex(readfile('$environment_dir/run/shares/$id/deadline')) AS h),
    row AS (SELECT *, printf('%016X', deadline) AS h, deadline / 1000000000 - $(cut -d. -f1 /proc/uptime) AS left,
        (SELECT group_concat(path || '|', '') FROM (SELECT path FROM images WHERE share = id ORDER BY position)) AS paths
        FROM shares WHERE id = '$id' AND ended IS NULL),
    shown AS (SELECT group_concat(json_extract(value, '\$.path') || '|', '') AS paths
        FROM answer, json_each(j, '\$.images'))
SELECT shown.paths FROM shown
UNION ALL SELECT 'it has no row' WHERE NOT EXISTS (SELECT * FROM row)
UNION ALL SELECT 'it is ' || json_extract(j, '\$.state') FROM answer WHERE json_extract(j, '\$.state') <> 'active'
UNION ALL SELECT 'its row says that it is being prepared' FROM row WHERE NOT active
UNION ALL SELECT 'its row has the images ' || row.paths FROM row, shown WHERE row.paths <> shown.paths
UNION ALL SELECT 'its row and its supervisor do not end at the same time' FROM row, trusted WHERE trusted.h <>
    substr(row.h, 15, 2) || substr(row.h, 13, 2) || substr(row.h, 11, 2) || substr(row.h, 9, 2) ||
    substr(row.h, 7, 2) || substr(row.h, 5, 2) || substr(row.h, 3, 2) || substr(row.h, 1, 2)
UNION ALL SELECT 'its row has ' || left || ' s, the answer ' || json_extract(j, '\$.remaining') FROM row, answer
    WHERE abs(left - json_extract(j, '\$.remaining')) > 3
UNION ALL SELECT left || ' s are left' FROM row
    WHERE left NOT BETWEEN $2 - 30 AND $2 + 1 AND left NOT BETWEEN ${3:-$2} - 30 AND ${3:-$2} + 1" >"$out/compared" 2>&1
    share_paths=$(head -n 1 "$out/compared")
    tail -n +2 "$out/compared"
}

# Everything that belongs to shares, the bystander's in a form that does not change with time.
bystander_list() {
    # Elements lose their timeouts, and stand one on a line: their order is the kernel's.
    server nft -s list table inet cdss | sed -E 's/ (timeout|expires) [0-9a-z]+//g' |
        tr ',{}' '\n' | sed -E 's/^[[:space:]]+|[[:space:]]+$//g' | sort
    residue_mounts
    server conntrack -L --mark "$((mark_prefix << 24))/0xff000000" 2>/dev/null |
        grep -v "mark=$bystander_mark " | sed 's/^/conntrack /'
    local pid
    for pid in $(share_processes); do
        echo "process $pid $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
    done
    loop_devices | sed 's/^/loop device /'
    find "${setting[repository.shares]}" "$environment_dir/run" -mindepth 1 |
        sed 's/^/in a directory: /' | sort
    server ss -Hlntu 'sport >= 21000 && sport <= 31999' | awk '{ print "port", $1, $5 }' | sort
    find "${environment_cgroups[@]}" -mindepth 2 -type d 2>/dev/null | sed 's/^/cgroup /'
    residue_rows
}

# What an idle system with a bystander looks like, to be called with a broker that has just taken it
# up again.
bystander_note() {
    residue_broker >"$environment_dir/idle.broker"
    bystander_list >"$environment_dir/bystander.idle"
}

bystander_alone() {
    {
        bystander_list | diff "$environment_dir/bystander.idle" - | grep '^[<>]'
        residue_compare_broker
    } >"$environment_dir/residue"
    [ ! -s "$environment_dir/residue" ]
}
