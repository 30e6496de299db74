#!/usr/bin/env bash
# The demo: right at its end, and gone without a trace when Ctrl-C comes at any moment of it.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
export CDSS_PRESET=${build_dir##*/} # what is built again, for nothing has changed, and shown
if [ "$build_dir" != "$source_dir/build/$CDSS_PRESET" ] ||
    ! grep -q "\"name\": \"$CDSS_PRESET\"" "$source_dir/CMakePresets.json"; then
    skip "the demo" "$build_dir is of no preset"
    exit 0
fi
begin
export TMPDIR=$environment_dir/demo # so that its directory is known from all others

# What a demo would leave: seen from outside, by its directory's name.
demo_residue() {
    find "$TMPDIR" -mindepth 1 2>/dev/null
    residue_mounts | diff "$environment_dir/idle.mounts" - | grep '^[<>]'
    grep -sl "$TMPDIR" /sys/block/loop*/loop/backing_file
    sort -u "$environment_dir/demo.names" | while read -r name; do
        find /sys/fs/cgroup -type d -name "$name" 2>/dev/null
    done
    share_processes | sed 's/^/process of a share: /'
    local pid
    for pid in /proc/[0-9]*; do
        tr '\0' '\n' 2>/dev/null <"$pid/environ" | grep -qxF "TMPDIR=$TMPDIR" &&
            [ "${pid#/proc/}" != $$ ] && [ "${pid#/proc/}" != "$BASHPID" ] &&
            echo "process ${pid#/proc/} $(tr '\0' ' ' 2>/dev/null <"$pid/cmdline")"
    done
    [ "$(cksum /usr/sbin/policy-rc.d 2>&1)" = "$policy" ] || echo "another policy-rc.d"
}
demo_residue_none() {
    demo_residue >"$environment_dir/residue"
    [ ! -s "$environment_dir/residue" ]
}
expect_nothing_left() { # NAME
    wait_for 3 demo_residue_none
    verdict $? "$1: nothing is left"
    sed 's/^/# left: /' "$environment_dir/residue" | head -n 20
}
policy=$(cksum /usr/sbin/policy-rc.d 2>&1)
mkdir "$TMPDIR"
: >"$environment_dir/demo.names"
demo_names() { ls "$TMPDIR" >>"$environment_dir/demo.names"; }
residue_mark

timeout 120 "$source_dir/demo" --once >"$environment_dir/demo.out" 2>&1 &
while ! is_gone $!; do
    demo_names
    sleep 0.2
done
wait $!
verdict $? "demo --once"
right=$(grep -c ' right$' "$environment_dir/demo.out")
[ "$right" -ge 12 ] && ! grep -q WRONG "$environment_dir/demo.out"
verdict $? "all hashes are right ($right)"
[ "$(grep -c ' refused$' "$environment_dir/demo.out")" -ge 10 ] &&
    ! grep -q BYTES "$environment_dir/demo.out"
verdict $? "and nobody else gets a byte"
expect_nothing_left "after --once"
! grep -q "$(printf '\033')" "$environment_dir/demo.out"
verdict $? "no colours where there is no terminal"
awk 'length > 110' "$environment_dir/demo.out" | grep -q .
[ $? = 1 ]
verdict $? "no line is longer than 110 characters"

# As a terminal does it: SIGINT for the whole process group, at several moments.
interrupted() { # NAME PATTERN-IN-OUTPUT
    local log=$environment_dir/demo.log status
    : >"$log"
    # A shell's background has SIGINT ignored, and a shell cannot trap what it began ignoring.
    env --default-signal=INT setsid "$source_dir/demo" </dev/null >"$log" 2>&1 &
    local pid=$!
    environment_uids "$pid"
    background+=("$pid")
    if ! wait_for 60 grep -qE "$2" "$log"; then
        sed 's/^/#   /' "$log" | tail -n 20
        not_ok "$1: the demo gets there"
    fi
    sleep "0.0$((RANDOM % 10))"
    demo_names
    kill -INT -- "-$pid"
    wait_for 20 is_gone "$pid"
    verdict $? "$1: Ctrl-C ends it"
    wait "$pid" 2>/dev/null
    status=$?
    [ $status = 130 ] || tail -n 5 "$log" | sed 's/^/#   /'
    [ $status = 130 ]
    verdict $? "$1: with the status of an interrupt ($status)"
    expect_nothing_left "$1"
}
interrupted "at its very beginning" '^Preparing'
interrupted "once packages were looked at" 'packages'
interrupted "while the network is made" 'build '
interrupted "while cdssd starts" 'network'
interrupted "while a share is made" 'Two users'
interrupted "while files are fetched" 'client 1 +FTP'
interrupted "while others are refused" 'client 3'
interrupted "when it is up and waits" 'Enter or Ctrl-C'
finish
