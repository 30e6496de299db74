#!/usr/bin/env bash
# What a stranger can write into an image: tests/net/tools/hostile_image.py makes them from nothing,
# and damages good ones. All are shared and walked through over every protocol; nothing of the sandbox,
# the host or another share comes out, nobody hangs, ends are as quick as ever, and the kernel is well.
#
# CDSS_TEST_SEED and CDSS_TEST_SWEEP (images of each kind; 7) change the damaged ones.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
base=http://$server4:8080
export PYTHONDONTWRITEBYTECODE=1
make_image() { python3 "$net_dir/tools/hostile_image.py" "$@"; }
kernel_trouble() { dmesg 2>/dev/null | grep -cE 'BUG:|WARNING:|Oops|general protection|blocked for more than'; }
trouble=$(kernel_trouble)

# What no answer may hold: files of the host and of another share, and of the sandbox.
token=never-$RANDOM$RANDOM$RANDOM
printf '%s\n' "$token" 'root:x:0:' nologin 'server[.]chroot' anonymous_enable LD_PRELOAD= \
    >"$environment_dir/forbidden"
mkdir "$images/other" "$images/bad"
echo "$token of another share" >"$images/other/other.bin"
echo "$token of the host" >"$environment_dir/disk"
truncate -s 1M "$environment_dir/disk"

trees=(links specials names broken_names loops deep lies private)
kinds=() bad=()
expect_ok "images are made from nothing" make_image trees "$images"
for tree in "${trees[@]}"; do kinds+=("$tree.iso" "$tree.squashfs" "$tree.erofs"); done
# The loop device of a file of the host, which an erofs names as having its data.
host_disk=$(losetup --find --show --read-only "$environment_dir/disk") || host_disk=/dev/null
make_image device "$host_disk" "$images/device.erofs"

# Good ones, and damaged copies of them.
seed=${CDSS_TEST_SEED:-1} sweep=${CDSS_TEST_SWEEP:-7}
good=$environment_dir/good
mkdir -p "$good/tree/sub/deep"
head -c 100000 /dev/urandom >"$good/tree/sub/deep/data.bin"
for i in 1 2 3 4 5; do yes "text $i" | head -c 20000 >"$good/tree/text$i"; done
ln -s text1 "$good/tree/link"
{
    mksquashfs "$good/tree" "$good/gzip.squashfs" -quiet -no-progress
    mksquashfs "$good/tree" "$good/xz.squashfs" -comp xz -quiet -no-progress
    mkfs.erofs -zlz4hc "$good/lz4.erofs" "$good/tree"
    mkfs.erofs "$good/plain.erofs" "$good/tree"
    xorriso -as mkisofs -quiet -R -J -o "$good/rock.iso" "$good/tree"
    genisoimage -quiet -udf -R -J -o "$good/bridge.iso" "$good/tree"
    # Few bytes that are many: 8 GiB of zeros in some KiB.
    truncate -s 8G "$good/zeros" && mksquashfs "$good/zeros" "$images/zeros.squashfs" -quiet -no-progress
    rm "$good/zeros"
} >/dev/null 2>&1
for one in gzip.squashfs xz.squashfs lz4.erofs plain.erofs rock.iso bridge.iso; do
    make_image sweep "$seed" "$sweep" "$good/$one" "$images/bad/$one"
    for ((i = 1; i <= sweep; i++)); do bad+=("bad/$one.$i"); done
done
image_random mine.bin 100000
: >"$images/end.bin"
chmod -R a+rX "$images"
# The repository belongs to somebody who owns nothing of what is in the images.
chown -R 4321:4321 "$images"
start

create() { # USER CLIENT IMAGE...
    local arguments=() image
    for image in "${@:3}"; do arguments+=(--image "$image"); done
    cdss share create "$1" "${arguments[@]}" --client "$(client4 "$2")" --protocol http,ftp,tftp --for 10m
}
contents_of() { # USER: a line each
    share_field "$1" '"\n".join(i["contents"] for i in share["images"] if i["contents"])'
}
walk() { # USER PROTOCOL: every directory of each image
    local contents
    mapfile -t contents < <(contents_of "$1")
    client 1 timeout 120 python3 "$net_dir/tools/crawl.py" "$2" "$server4" "$environment_dir/forbidden" \
        "${contents[@]}" >"$environment_dir/walk" 2>&1 || echo "failed: exit $?" >>"$environment_dir/walk"
    ! grep -vE ' lists [0-9]+ files [0-9]+ failed [0-9]+$' "$environment_dir/walk" | head -n 10 |
        sed 's/^/#   /' | grep .
}
walked() { # CONTENTS: how many files were read
    sed -n "s|^$1 lists .* files \([0-9]*\) .*|\1|p" "$environment_dir/walk"
}
remove_at_once() { # NAME USER
    local since
    since=$(milliseconds)
    expect_ok "$1" cdss share remove "$2"
    since=$(($(milliseconds) - since))
    [ "$since" -le $((soon * 2)) ]
    verdict $? "at once ($since ms)"
}

# -- made from nothing -------------------------------------------------------------------------------

expect_ok "bob shares" create bob 2 other/other.bin
expect_ok "alice shares all that is hostile" create alice 1 mine.bin end.bin device.erofs "${kinds[@]}"
[ "$(contents_of alice | wc -l)" = ${#kinds[@]} ]
verdict $? "what can be shown of it is"
[ -z "$(share_field alice 'image["device.erofs"]["contents"]')" ] &&
    [[ $(share_field alice 'image["device.erofs"]["note"]') == *"other block devices"* ]]
verdict $? "an image with its data on a disk of the host is a file only, and the answer says why"
for protocol in http ftp tftp; do
    walk alice "$protocol"
    verdict $? "${protocol^^}: a walk through all of them finds nothing that is not theirs, and ends"
    [ "$(walked loops)" -gt 0 ] && [ "$(walked deep)" -gt 0 ] && [ "$(walked specials)" = 3 ]
    verdict $? "${protocol^^}: files are files; devices, FIFOs and sockets are not opened"
done

contents() { share_field alice "image['$1']['contents']"; }
fetch() { # CONTENTS FILE
    rm -f "$out/x"
    client 1 curl -sf -m 20 -o "$out/x" "$base/$1/$2"
}
# What only its owner may read is read where the image is root's, but no third one's.
if [[ $(share_field alice 'image["private.squashfs"]["note"]') == *"stay unreadable"* ]]; then
    ! fetch "$(contents private.squashfs)" root0600
    verdict $? "a file of mode 0600 stays unreadable on this kernel, and the answer says so"
else
    for one in private.squashfs private.erofs; do
        fetch "$(contents "$one")" root0600 && grep -qx "private root0600" "$out/x" &&
            fetch "$(contents "$one")" closed/inner && fetch "$(contents "$one")" root0644
        verdict $? "$one: what root alone may read is read, in a repository of another"
        ! fetch "$(contents "$one")" mode0000 && ! fetch "$(contents "$one")" user0600 &&
            ! fetch "$(contents "$one")" nobody0600 && ! fetch "$(contents "$one")" share0600
        verdict $? "$one: what nobody may read, or a third one, is not"
    done
fi
lies=$(contents lies.squashfs)
! fetch "$lies" gigabytes
verdict $? "HTTP: a file that is not all there fails at the client"
! get_ftp 1 epsv "ftp://$server4/$lies/gigabytes" "$out/x"
verdict $? "FTP: it fails at the client"
! get_tftp 1 curl "$server4" "$lies/gigabytes" "$out/x"
verdict $? "TFTP: it fails at the client"
for ((i = 0; i < 70; i++)); do
    client 1 timeout 10 python3 "$net_dir/tools/tftp.py" "$server4" "$lies/most" "$out/x" || break
done >"$environment_dir/tftp" 2>&1
get_tftp 1 curl "$server4" mine.bin "$out/x"
expect_same "TFTP: many such requests hold nobody up" "$out/x" "$images/mine.bin"
remove_at_once "her share is removed" alice

# -- many names ----------------------------------------------------------------------------------------

# This is about servers of others, which are the same in every build.
many_names() {
    local many listing kib
    expect_ok "directories of 100,000 names" create alice 1 mine.bin many.erofs many.squashfs zeros.squashfs
    many=$(contents many.erofs)
    client_exec 1 curl -sf -m 120 -o "$out/list" "$base/$many/" &
    listing=$!
    background+=("$listing")
    get_http 1 "$base/mine.bin" "$out/x"
    expect_same "HTTP answers others while it lists one" "$out/x" "$images/mine.bin"
    wait "$listing" && [ "$(grep -o '>name[0-9]*<' "$out/list" | sort -u | wc -l)" = 100000 ]
    verdict $? "HTTP lists them all"
    rm -f "$out/list"
    [ "$(client 1 curl -sl -m 60 "ftp://$server4/$many/" | grep -c '^name')" = 100000 ]
    verdict $? "FTP lists them all"
    kib=$(for pid in $(share_processes); do sed -n 's/^VmHWM:[ \t]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"; done |
        sort -n | tail -n 1)
    [ "$kib" -lt 200000 ]
    verdict $? "which takes no process more than 200 MB ($kib kB)"
    # Faster than two seconds, in which lighttpd would keep them all open.
    seq -f "url = \"$base/$many/name%06.0f\"" 3000 | sed 's|$|\noutput = "/dev/null"|' >"$out/urls"
    client 1 curl -s -m 100 -w '%{http_code}\n' -K "$out/urls" | sort | uniq -c >"$environment_dir/codes"
    [ "$(tr -s ' ' <"$environment_dir/codes")" = " 3000 200" ]
    verdict $? "HTTP: 3000 small files one after the other ($(tr -s ' \n' ' ' <"$environment_dir/codes"))"
    client 1 curl -s -m 20 -r 8589934000-8589934591 "$base/zeros/zeros" | cmp -s - <(head -c 592 /dev/zero)
    verdict $? "the end of 8 GiB of zeros out of some KiB"
    # Without an index every look-up reads on from the start: some ms of the kernel's each, so for minutes.
    client_exec 1 curl -sf -m 60 -o "$out/list" "$base/$(contents many.squashfs)/" &
    background+=("$!")
    client 1 curl -sf -m 20 -o "$out/x" "ftp://$server4/mine.bin"
    expect_same "while a slow directory is listed, FTP serves" "$out/x" "$images/mine.bin"
    remove_at_once "its share is removed meanwhile" alice
    background_end
}
[ "$sanitized" = yes ] || many_names

# -- damaged -------------------------------------------------------------------------------------------

for ((from = 0; from < ${#bad[@]}; from += 48)); do
    part=("${bad[@]:from:48}")
    expect_ok "damaged images from seed $seed: ${#part[@]}" create alice 1 mine.bin "${part[@]}"
    note "$(contents_of alice | wc -l) of them are shown"
    for protocol in http ftp; do
        walk alice "$protocol"
        verdict $? "${protocol^^}: a walk through them finds nothing that is not theirs, and ends"
    done
    get_http 1 "$base/${part[0]}" "$out/x"
    expect_same "a damaged image as a file is right" "$out/x" "$images/${part[0]}"
    remove_at_once "their share is removed" alice
done
get_http 2 "$base/other/other.bin" "$out/x"
expect_same "another share went on all the time" "$out/x" "$images/other/other.bin"
[ "$host_disk" = /dev/null ] || losetup -d "$host_disk"
[ "$(kernel_trouble)" = "$trouble" ]
verdict $? "the kernel has nothing to complain of"
finish
