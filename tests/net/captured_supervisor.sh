#!/usr/bin/env bash
# A supervisor that has been taken over: what it says to the broker, and what it does not do. The
# broker goes on, other shares do, and what it holds ends.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
image_random mine/mine.bin 1000
image_random honest/honest.bin 100000
mkdir "$environment_dir/disc"
echo "in it" >"$environment_dir/disc/file"
xorriso -as mkisofs -R -quiet -o "$images/disc.iso" "$environment_dir/disc" >/dev/null 2>&1

# -- carol's is as it should be; the broker is started again with another supervisor -----------------

setting[mount.readers]=fuseiso
environment_configure
start
create() { # USER CLIENT IMAGE FOR
    cdss share create "$1" --image "$3" --client "$(client4 "$2")" --protocol http,ftp --for "$4"
}
expect_ok "carol shares, and her supervisor is as it should be" create carol 3 honest/honest.bin 10m
libexec_dir=$environment_dir/libexec
mkdir "$libexec_dir"
find "$build_dir/servers" -maxdepth 1 -name 'cdss-*' -type f -exec cp {} "$libexec_dir" \;
cp "$build_dir/tests/net/hostile/fake_supervisor" "$libexec_dir/cdss-supervisor"
broker_stop
broker_start || not_ok "cdssd starts again"
mode() { echo "$1" >"$libexec_dir/mode"; }
honest() { # NAME
    get_http 3 "http://$server4:8080/honest/honest.bin" "$out/honest"
    expect_same "$1" "$out/honest" "$images/honest/honest.bin"
}

# -- readiness ---------------------------------------------------------------------------------------

# It says nothing at all: that takes the broker's whole patience, in the background.
mode silent
server timeout 60 "$build_dir/broker/cdss" -c "$config" share create silent --image mine/mine.bin \
    --client "$(client4 2)" --protocol http,ftp --for 10m >"$environment_dir/silent" 2>&1 &
silent=$!
is_silent() { # it has read its mode by then, and sleeps
    local pid
    for pid in $(share_processes); do
        grep -qs pause "/proc/$pid/wchan" && grep -qs cdss-supervisor "/proc/$pid/cmdline" && return 0
    done
    return 1
}
wait_for 10 is_silent
ended="The sandbox ended before it was ready"
for kind in closes short dies; do
    mode "$kind"
    expect_refused "a supervisor that $kind: refused" "$ended" create alice 1 mine/mine.bin 10m
done
mode floods
expect_refused "one that floods: refused" "is not fit to start|$ended" create alice 1 mine/mine.bin 10m
mode controls
expect_refused "one that sends what terminals obey: refused" "is not fit to start" \
    create alice 1 mine/mine.bin 10m
! grep -q '[[:cntrl:]]' <(tr -d '\n' <"$environment_dir/err")
verdict $? "and the sentence holds nothing of that"
honest "carol's share goes on"

# -- answers, status ---------------------------------------------------------------------------------

for kind in nothing little wild much descriptors; do
    mode "answers-$kind"
    create alice 1 mine/mine.bin 1h >"$environment_dir/out" 2>&1
    verdict $? "a supervisor that answers $kind says that it is ready"
    cdss --json share show alice >"$environment_dir/json" &&
        python3 -m json.tool "$environment_dir/json" >/dev/null
    verdict $? "what it says of its servers is shown as numbers"
    expect_ok "its share is extended" cdss share extend alice --for 2h
    if [ -c /dev/fuse ] && [ "$kind" = descriptors ]; then
        expect_ok "an image that it takes a reader for, and starts none, is shared as it is" \
            cdss share add alice --image disc.iso
    elif [ -c /dev/fuse ] && [ "$kind" != nothing ]; then
        expect_refused "it takes no reader for a further image" "." \
            cdss share add alice --image disc.iso
    fi
    expect_ok "and removed" cdss share remove alice
done
mode hangs-up
expect_ok "one that hangs up" create alice 1 mine/mine.bin 1h
expect_ok "its share is extended" cdss share extend alice --for 2h
expect_ok "to an end that it does not heed" cdss share extend alice --for 2s
wait_for 6 share_is_gone alice
verdict $? "and ends with its time"
honest "carol's share goes on through all this"

# -- its deadline, with cdssd dead ---------------------------------------------------------------------

wait "$silent"
verdict $(($? != 1)) "one that says nothing is given up: $(tail -n 1 "$environment_dir/silent")"
grep -q 'not ready within 30 seconds' "$environment_dir/silent"
verdict $? "and the sentence says so"
expect_ok "one that has no end" create alice 1 mine/mine.bin 3s
broker_kill
live() { server nft list set inet cdss live | grep -o '0x[0-9a-f]*' | wc -l; }
only_carol() { [ "$(live)" = 1 ]; }
[ "$(live)" = 2 ] && wait_for 8 only_carol
verdict $? "with cdssd dead, the kernel cuts its share all the same"
broker_start
share_is_gone alice
verdict $? "and the next cdssd ends what is left of it"
honest "carol's share has gone on"
cdss share remove carol >/dev/null
finish
