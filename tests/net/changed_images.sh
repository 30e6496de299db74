#!/usr/bin/env bash
# Images that change while they are shared, or between being looked at and being used: replaced, removed,
# cut short, overwritten, made into something else; and files larger than any disk.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
kept=$environment_dir/kept
mkdir -p "$kept/old" "$kept/new"
head -c 100000000 /dev/urandom >"$kept/big.bin"
for one in old new; do
    head -c 30000000 /dev/urandom >"$kept/$one/data.bin"
    mksquashfs "$kept/$one" "$kept/$one.squashfs" -quiet -no-progress -noD >/dev/null
done
fresh() { # SOURCE NAME: as an administrator puts an image there
    cp "$kept/$1" "$images/.$2" && mv "$images/.$2" "$images/$2"
}
fresh big.bin big.bin
fresh old.squashfs disc.squashfs
image_random mine.bin 100000
start

create() { # USER CLIENT IMAGE...
    local arguments=() image
    for image in "${@:3}"; do arguments+=(--image "$image"); done
    cdss share create "$1" "${arguments[@]}" --client "$(client4 "$2")" --protocol http,ftp,tftp --for 10m
}
declare -A pid_of=()
slow=3M fast=20M # bytes a second: what is to fail must not be over before
downloads_begin() { # RATE PATH: over each protocol; $out/PROTOCOL grows
    local protocol url
    for protocol in http ftp tftp; do
        case $protocol in
        http) url=http://$server4:8080/$2 ;;
        *) url=$protocol://$server4/$2 ;;
        esac
        download_start "$out/$protocol" client_exec 1 curl -sSf -m 100 --limit-rate "$1" \
            --tftp-blksize 8192 -o "$out/$protocol" "$url"
        verdict $? "a download of $2 over ${protocol^^} is under way"
        pid_of[$protocol]=$download
    done
}
downloads_same() { # NAME EXPECTED
    local protocol
    for protocol in http ftp tftp; do
        wait "${pid_of[$protocol]}"
        expect_same "$1: ${protocol^^}" "$out/$protocol" "$2"
    done
}
# The client hears that it has not got all: curl's exit is not 0, and not by its limit (28).
downloads_fail() { # NAME
    local protocol status
    for protocol in http ftp tftp; do
        wait "${pid_of[$protocol]}"
        status=$?
        [ "$status" != 0 ] && [ "$status" != 28 ]
        verdict $? "$1: the client hears of it: ${protocol^^} (curl exits $status)"
    done
}
serves_others() {
    get_http 1 "http://$server4:8080/mine.bin" "$out/x"
    expect_same "HTTP goes on" "$out/x" "$images/mine.bin"
    get_ftp 1 epsv "ftp://$server4/mine.bin" "$out/x"
    expect_same "FTP goes on" "$out/x" "$images/mine.bin"
    get_tftp 1 curl "$server4" mine.bin "$out/x"
    expect_same "TFTP goes on" "$out/x" "$images/mine.bin"
}
contents_are() { # NAME CLIENT old|new
    get_http "$2" "http://$server4:8080/disc/data.bin" "$out/x"
    expect_same "$1" "$out/x" "$kept/$3/data.bin"
}

# -- replaced, as it should be, and removed ------------------------------------------------------------

expect_ok "alice shares" create alice 1 big.bin disc.squashfs mine.bin
downloads_begin "$fast" big.bin
image_random .new 1000000 && mv "$images/.new" "$images/big.bin"
downloads_same "an image is replaced during a download, which gets the old one whole" "$kept/big.bin"
downloads_begin "$fast" disc/data.bin
fresh new.squashfs disc.squashfs
expect_ok "bob shares the new one" create bob 2 big.bin disc.squashfs
downloads_same "contents are replaced during a download, which gets the old ones whole" "$kept/old/data.bin"
contents_are "bob has the new contents" 2 new
contents_are "alice still has the old ones" 1 old
get_http 2 "http://$server4:8080/big.bin" "$out/x"
expect_same "bob has the new file" "$out/x" "$images/big.bin"
get_http 1 "http://$server4:8080/big.bin" "$out/x"
expect_same "alice still has the old one" "$out/x" "$kept/big.bin"
rm "$images/big.bin" "$images/disc.squashfs"
contents_are "removed from the repository, it is served on" 2 new
expect_refused "but not shared again" 'image "disc\.squashfs" is not in the repository' \
    create carol 3 disc.squashfs
expect_ok "alice's share is removed" cdss share remove alice
expect_ok "and bob's" cdss share remove bob

# -- cut short and overwritten, as it should not -------------------------------------------------------

fresh big.bin big.bin
fresh old.squashfs disc.squashfs
expect_ok "alice shares once more" create alice 1 big.bin disc.squashfs mine.bin
downloads_begin "$slow" big.bin
truncate -s 30000 "$images/big.bin"
downloads_fail "an image is cut short during a download"
serves_others
downloads_begin "$slow" disc/data.bin
truncate -s 300000 "$images/disc.squashfs"
downloads_fail "an image is cut short under its mount"
serves_others
expect_ok "bob shares what is left" create bob 2 disc.squashfs
[ -z "$(share_field bob 'image["disc.squashfs"]["contents"]')" ] &&
    [[ $(share_field bob 'image["disc.squashfs"]["note"]') == *truncated* ]]
verdict $? "it is a file only, and the answer says why: $(share_field bob 'image["disc.squashfs"]["note"]')"
get_http 2 "http://$server4:8080/disc.squashfs" "$out/x"
expect_same "as the file is now" "$out/x" "$images/disc.squashfs"
expect_ok "bob's share is removed" cdss share remove bob
cat "$kept/new.squashfs" >"$images/disc.squashfs" # in place: the same inode, another image
expect_ok "bob shares it when it has been overwritten" create bob 2 disc.squashfs
contents_are "he has what is in it now, not what alice has mounted" 2 new
serves_others
[ "$(loop_devices | grep -c disc.squashfs)" = 2 ]
verdict $? "the two mounts have a loop device each"
: >"$images/disc.squashfs"
get_http 1 "http://$server4:8080/mine.bin" "$out/x"
expect_same "it is emptied: the other images are served on" "$out/x" "$images/mine.bin"
since=$(milliseconds)
expect_ok "both shares are removed" cdss share remove alice
expect_ok "as ever" cdss share remove bob
[ $(($(milliseconds) - since)) -le $((soon * 3)) ]
verdict $? "at once ($(($(milliseconds) - since)) ms)"
residue_check "nothing is left of images that were changed"

# -- changed between check and use ---------------------------------------------------------------------

# Every few milliseconds it is something else; no answer holds more than that says.
echo "never this" >"$environment_dir/secret"
python3 "$net_dir/tools/changing.py" "$images/moving.img" "$kept/old.squashfs" "$environment_dir/secret" &
background+=("$!")
wait_for 5 test -e "$images/moving.img"
made=0 refused=0 wrong=0
for ((i = 0; i < 25; i++)); do
    if create alice 1 moving.img mine.bin >"$environment_dir/out" 2>"$environment_dir/err"; then
        made=$((made + 1))
        client 1 curl -s -m 20 -r 0-100 "http://$server4:8080/moving.img" >"$out/x"
        ! grep -q "never this" "$out/x" || { wrong=$((wrong + 1)) && note "it got the secret"; }
        cdss share remove alice >/dev/null 2>&1 || wrong=$((wrong + 1))
    else
        refused=$((refused + 1))
        [ "$(grep -c . "$environment_dir/err")" = 1 ] && grep -q '"moving\.img"' "$environment_dir/err" ||
            { wrong=$((wrong + 1)) && head -n 3 "$environment_dir/err" | sed 's/^/#   /'; }
    fi
done
[ "$wrong" = 0 ] && [ $((made + refused)) = 25 ]
verdict $? "an image that changes all the time is shared as something ($made times) or refused ($refused)"
background_end
residue_check "nothing is left of it"

# -- a reader that dies, and one that stops ------------------------------------------------------------

readers() { # the pids of fuseiso
    local pid
    for pid in $(share_processes); do
        tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q '^/usr/bin/fuseiso' && echo "$pid"
    done 2>/dev/null
}
fuse_share() { create alice 1 disc.iso mine.bin; }
with_readers() {
    local pids since
    broker_stop
    setting[mount.readers]=fuseiso
    environment_configure
    start
    xorriso -as mkisofs -quiet -R -o "$images/disc.iso" "$kept/old" 2>/dev/null
    expect_ok "alice shares an image with a reader" fuse_share
    downloads_begin "$slow" disc/data.bin
    mapfile -t pids < <(readers)
    kill -KILL "${pids[@]}"
    downloads_fail "the reader is killed"
    serves_others
    expect_ok "the share is removed" cdss share remove alice
    expect_ok "alice shares it once more" fuse_share
    downloads_begin "$slow" disc/data.bin
    mapfile -t pids < <(readers)
    kill -STOP "${pids[@]}"
    get_ftp 1 epsv "ftp://$server4/mine.bin" "$out/x"
    expect_same "the reader hangs: FTP goes on" "$out/x" "$images/mine.bin"
    get_tftp 1 curl "$server4" mine.bin "$out/x"
    expect_same "TFTP goes on" "$out/x" "$images/mine.bin"
    since=$(milliseconds)
    expect_ok "its share is removed" cdss share remove alice
    [ $(($(milliseconds) - since)) -le $((soon * 2)) ]
    verdict $? "at once ($(($(milliseconds) - since)) ms)"
    background_end
    residue_check "nothing is left of it"
}
if [ -c /dev/fuse ] && [ -x /usr/bin/fuseiso ]; then
    with_readers
else
    skip "a reader that dies" "no /dev/fuse, or no fuseiso"
fi

# -- larger than any disk ------------------------------------------------------------------------------

broker_stop
sparse=$environment_dir/sparse
mkdir "$sparse" && mount -t tmpfs sparse "$sparse" && mkdir "$sparse/images"
setting[mount.readers]="kernel fuseiso"
setting[repository.images]=$sparse/images
setting[repository.shares]=$sparse/shares
environment_configure
most=9223372036854775807
cp "$kept/old.squashfs" "$sparse/images/disc.squashfs"
python3 -c 'import sys, os
for name in sys.argv[1:]: os.truncate(os.open(name, os.O_WRONLY | os.O_CREAT, 0o644), 2**63 - 1)' \
    "$sparse/images/hole.bin" "$sparse/images/disc.squashfs"
start
expect_ok "files of 8 EiB are shared" create alice 1 hole.bin disc.squashfs
[ "$(share_field alice 'image["hole.bin"]["size"]')" = "$most" ]
verdict $? "with their size"
contents_are "what is in one is right" 1 old
client 1 curl -s -m 20 -r $((most - 10))-$((most - 1)) "http://$server4:8080/hole.bin" |
    cmp -s - <(head -c 10 /dev/zero)
verdict $? "HTTP: the last bytes of one"
client 1 curl -sI -m 20 "ftp://$server4/hole.bin" | tr -d '\r' | grep -qi "^content-length: $most$"
verdict $? "FTP: its size"
[ "$(client 1 timeout 5 python3 "$net_dir/tools/tftp.py" "$server4" hole.bin "$out/x" --size)" = "$most" ]
verdict $? "TFTP: its size"
rm -f "$out/x"
expect_ok "the share is removed" cdss share remove alice
finish
