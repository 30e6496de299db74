# What every scenario needs; sourced by tests/net/NAME.sh, which looks like this:
#
#   . "$(dirname "$0")/lib.sh"
#   begin                          # network, directories, images; "begin inside" for that bridge
#   start                          # cdssd runs
#   expect_ok "a share is made" cdss share create alice --image a.iso ...
#   finish                         # nothing may be left
#
# CDSS_BUILD names the build directory (default: build/dev). CDSS_TEST_KEEP=1 keeps the directory.
# shellcheck shell=bash disable=SC2034

set -u
umask 022
export LC_ALL=C.UTF-8
[ "$(id -u)" = 0 ] || { echo "skip ${0##*/} - needs root for namespaces"; exit 0; }

# A mount namespace of its own, in which cdssd finds the mounts shared, as on a host: what leaks shows
# in /proc/self/mountinfo, what a test mounts itself goes with it.
if [ -z "${CDSS_TEST_NAMESPACE:-}" ]; then
    CDSS_TEST_NAMESPACE=yes exec unshare --mount --propagation private -- "$BASH" "$0" "$@"
fi
unset CDSS_TEST_NAMESPACE
mount --make-rshared /

net_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$net_dir/../.." && pwd)
build_dir=$(cd "${CDSS_BUILD:-$source_dir/build/dev}" 2>/dev/null && pwd) ||
    { echo "not ok ${0##*/}: no build in ${CDSS_BUILD:-build/dev}"; exit 1; }
script=$(basename "$0" .sh)
sanitized=no
grep -qs '^CDSS_SANITIZE:BOOL=ON' "$build_dir/CMakeCache.txt" && sanitized=yes
# Within how many milliseconds "at once" is.
soon=1000
[ "$sanitized" = no ] || soon=2000

# shellcheck source=network.sh
. "$net_dir/network.sh"
# shellcheck source=clients.sh
. "$net_dir/clients.sh"
# shellcheck source=residue.sh
. "$net_dir/residue.sh"

# -- results ---------------------------------------------------------------------------------------

failures=0
background=() # pids that a test started and that end with it

ok() { printf 'ok %s: %s\n' "$script" "$*"; }
not_ok() {
    printf 'not ok %s: %s\n' "$script" "$*"
    failures=$((failures + 1))
}
skip() { printf 'skip %s: %s - %s\n' "$script" "$1" "$2"; }
note() { printf '# %s\n' "$*"; }

verdict() { # STATUS NAME: for a condition that was tested just before
    if [ "$1" = 0 ]; then ok "$2"; else not_ok "$2"; fi
}

expect_ok() { # NAME COMMAND...
    local name=$1 status
    shift
    "$@" >"$environment_dir/out" 2>"$environment_dir/err"
    status=$?
    [ "$status" = 0 ] && { ok "$name"; return 0; }
    note "exit $status of: $*"
    head -n 20 "$environment_dir/out" "$environment_dir/err" | sed 's/^/#   /'
    not_ok "$name"
    return 1
}

# The command fails, tells one sentence, and the sentence is the right one.
expect_refused() { # NAME EXTENDED-REGEX COMMAND...
    local name=$1 pattern=$2 status why=
    shift 2
    "$@" >"$environment_dir/out" 2>"$environment_dir/err"
    status=$?
    if [ "$status" != 1 ] && [ "$status" != 2 ]; then
        why="exit $status"
    elif ! grep -qE -e "$pattern" "$environment_dir/err"; then
        why="not the sentence /$pattern/"
    elif [ "$(grep -c . "$environment_dir/err")" != 1 ]; then
        why="not one line"
    fi
    [ -z "$why" ] && { ok "$name"; return 0; }
    note "$why, from: $*"
    head -n 20 "$environment_dir/out" "$environment_dir/err" | cut -c1-300 | sed 's/^/#   /'
    not_ok "$name"
    return 1
}

expect_status() { # STATUS NAME COMMAND...
    local want=$1 name=$2 status
    shift 2
    "$@" >"$environment_dir/out" 2>"$environment_dir/err"
    status=$?
    [ "$status" = "$want" ] && { ok "$name"; return 0; }
    note "exit $status, not $want, of: $*"
    head -n 5 "$environment_dir/out" "$environment_dir/err" | sed 's/^/#   /'
    not_ok "$name"
    return 1
}

expect_same() { # NAME FILE EXPECTED
    if cmp -s -- "$2" "$3"; then
        ok "$1"
    else
        note "$(stat -c '%n: %s bytes' -- "$2" "$3" 2>&1 | tr '\n' ' ')"
        tail -n 3 "$environment_dir/client.err" 2>/dev/null | sed 's/^/#   /'
        not_ok "$1"
    fi
    rm -f -- "$2"
}

# -- begin and end ---------------------------------------------------------------------------------

background_end() {
    local pid
    for pid in "${background[@]}"; do
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    background=()
}

leave() {
    local status=$?
    trap '' INT TERM HUP
    trap - EXIT
    background_end
    if [ -n "${CDSS_TEST_KEEP:-}" ] && [ -d "$environment_dir" ]; then
        cp -a "$environment_dir" "$environment_dir.kept" && note "kept: $environment_dir.kept"
    fi
    environment_remove
    exit "$status"
}

begin() { # [inside|outside]
    trap leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    environment_make cdss-test || { not_ok "a directory to work in"; exit 1; }
    cgroups_make
    out=$environment_dir/received
    mkdir "$out"
    net_make "${1:-outside}" >"$environment_dir/net.log" 2>&1 || {
        sed 's/^/# /' "$environment_dir/net.log"
        not_ok "a network to work in"
        exit 1
    }
    residue_rules >"$environment_dir/start.rules"
    residue_mark
}

# Starts cdssd, or ends the whole test: nothing would be right without it.
start() { # [WRAPPER...]
    if ! broker_start "$@"; then
        tail -n 20 "$broker_log" | sed 's/^/#   /'
        not_ok "cdssd starts"
        exit 1
    fi
    residue_mark
}

sanitizer_reports() {
    cat "$environment_dir"/broker-*.log 2>/dev/null |
        grep -E 'ERROR: (Address|Leak|Undefined)|runtime error:|Sanitizer' | head -n 5
}

# Ends what is shared, then cdssd, and looks for what is left each time.
finish() {
    local user
    background_end
    if [ -n "$broker_pid" ]; then
        for user in $(shared_users); do cdss share remove "$user" >/dev/null 2>&1; done
        residue_check "nothing is left of the shares"
        broker_stop
        [ "$broker_status" = 0 ]
        verdict $? "cdssd ends when it is told to (exit $broker_status)"
    fi
    residue_check_stopped "nothing is left of cdssd"
    if [ -n "$(sanitizer_reports)" ]; then
        sanitizer_reports | sed 's/^/#   /'
        grep -hA12 -E 'ERROR: |runtime error:' "$environment_dir"/broker-*.log | head -n 40 |
            sed 's/^/#   /'
        not_ok "no report of a sanitizer"
    fi
    if [ "$failures" != 0 ]; then
        note "the end of the last broker's log:"
        [ -z "$broker_log" ] || tail -n 20 "$broker_log" | cut -c1-300 | sed 's/^/#   /'
        exit 1
    fi
    exit 0
}

shared_users() {
    cdss --json share list 2>/dev/null |
        python3 -c 'import json, sys
for share in json.load(sys.stdin)["shares"]: print(share["user"])' 2>/dev/null
}

# -- the repository --------------------------------------------------------------------------------

# Images that nobody of this project made at their repository paths; what is inside them is in
# $data_dir/NAME.
images_real() {
    local images=${setting[repository.images]}
    mkdir -p "$images/linux" "$images/boot roms"
    cp "$(real_image grub)" "$images/linux/grub.iso"
    cp "$(real_image ipxe)" "$images/boot roms/ipxe.iso"
    cp "$(real_image memtest)" "$images/memtest.iso"
    chmod 644 "$images"/*.iso "$images"/*/*.iso
    if ! real_contents grub || ! real_contents ipxe || ! real_contents memtest; then
        not_ok "the real images can be read (tests/packages.sh images)"
    fi
}

# A file of SIZE bytes that looks like no other; in the repository at PATH.
image_random() { # PATH SIZE
    mkdir -p "$(dirname "${setting[repository.images]}/$1")"
    head -c "$2" /dev/urandom >"${setting[repository.images]}/$1"
}

# -- knocking ----------------------------------------------------------------------------------------

# "refused", "silent" or "answered": what a first packet to each tcp,ADDRESS,PORT meets.
probe() { # NAMESPACE [--source ADDRESS] TARGET...
    in_ns "$1" timeout 15 python3 "$net_dir/tools/probe.py" "${@:2}" 2>&1
}

expect_probe() { # NAME WORD NAMESPACE [--source ADDRESS] TARGET...: the same word from all of them
    local answer
    answer=$(probe "${@:3}")
    if [ -n "$answer" ] && ! tr ' ' '\n' <<<"$answer" | grep -qvxE -e "$2"; then
        ok "$1"
        return
    fi
    note "${*:3}: $answer"
    not_ok "$1"
}

# The ports of the instances now, as "tcp,ADDRESS,21001" for an address.
instance_ports() { # ADDRESS
    server ss -Hlntu 'sport >= 21000 && sport <= 29999' |
        awk -v address="$1" '{ sub(/.*:/, "", $5); print $1 "," address "," $5 }' | sort -u
}

# -- what cdss says --------------------------------------------------------------------------------

# Evaluates a Python expression on "share", as cdss shows it, and prints the result.
share_field() { # USER EXPRESSION
    cdss --json share show "$1" 2>/dev/null | python3 -c '
import json, sys
share = json.load(sys.stdin)
print(eval(sys.argv[1], {"share": share, "image": {i["path"]: i for i in share["images"]}}))' "$2"
}

share_is_gone() { ! shared_users | grep -qx "$1"; }

# -- asking as a web front end ---------------------------------------------------------------------

answer= # the file with the last answer, one JSON object a message
web_start() { # as $web_uid; its pipes are closed in other children, in cdssd among them
    answer=$environment_dir/answer
    coproc web_front_end {
        server_exec python3 "$net_dir/tools/web.py" --uid "$web_uid" --serve "${setting[broker.socket]}"
    }
    # shellcheck disable=SC2154
    background+=("$web_front_end_PID")
}
web() { # REQUEST FIELD=VALUE...
    local line
    printf '%s\0' "$#" "$@" >&"${web_front_end[1]}"
    while read -r -t 60 -u "${web_front_end[0]}" line && [ "$line" != . ]; do
        echo "$line"
    done >"$answer"
}
# The names of the messages of the last answer; a text or number in one of them.
messages() { sed -E 's/^\{"message": "([A-Z_ ]+)".*/\1/' "$answer" | paste -sd' '; }
field() { # MESSAGE FIELD
    grep -F "{\"message\": \"$1\"" "$answer" | sed -nE "s/.*\"$2\": (\"([^\"]*)\"|([0-9]+)).*/\2\3/p"
}
expect_web() { # NAME MESSAGES REQUEST FIELD=VALUE...
    web "${@:3}"
    [ "$(messages)" = "$2" ] && { ok "$1"; return; }
    note "$(messages), not $2"
    head -c 600 "$answer" | sed 's/^/#   /'
    not_ok "$1"
}

# -- cutting a download ----------------------------------------------------------------------------

# A download that would take long: its output grows in a file. The rate is a bound for the disk.
long_http() { client_exec "$1" curl -sSf -g -m 60 --limit-rate 20M -o "$3" "$2"; }
long_ftp() { # CLIENT URL FILE [CURL-OPTION...]
    client_exec "$1" curl -sSf -g -m 60 --limit-rate 20M "${@:4}" -o "$3" "$2"
}
long_tftp() { client_exec "$1" curl -sSf -g -m 60 --tftp-blksize 1024 -o "$3" "$2"; }

grows_beyond() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt "$2" ]; }

# Starts a download in the background; returns when it is under way. Its pid is in $download.
download_start() { # FILE long_... ARGUMENTS
    local file=$1
    shift
    rm -f "$file"
    "$@" </dev/null >/dev/null 2>>"$environment_dir/client.err" &
    download=$!
    background+=("$download")
    wait_for 10 grows_beyond "$file" 100000
}

# True when the download has failed by itself within the time; prints after how long.
download_failed_within() { # MILLISECONDS SINCE
    local status
    wait_for 5 is_gone "$download"
    echo $(($(milliseconds) - $2)) >"$environment_dir/cut.ms"
    is_gone "$download" || kill -KILL "$download"
    wait "$download" 2>/dev/null
    status=$?
    [ "$status" != 0 ] && [ "$status" != 137 ] && [ "$(cat "$environment_dir/cut.ms")" -le "$1" ]
}

expect_cut() { # NAME SINCE: a TCP client hears of it
    download_failed_within "$soon" "$2"
    verdict $? "$1 ($(cat "$environment_dir/cut.ms") ms)"
}

# A TFTP client is not told and would go on asking: from "soon" on, not a byte comes.
expect_silence() { # NAME FILE SINCE
    local before
    while [ "$(milliseconds)" -lt $(($3 + soon)) ]; do sleep 0.05; done
    before=$(stat -c %s "$2")
    sleep 0.7
    [ "$(stat -c %s "$2")" = "$before" ]
    verdict $? "$1 (after $before bytes)"
    kill -KILL "$download" 2>/dev/null
    wait "$download" 2>/dev/null
}
