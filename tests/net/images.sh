#!/usr/bin/env bash
# Every kind of image: what is inside it is beside it, equal to what was put in or to what another
# program reads; what cannot be mounted is shared raw and the answer says why.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
images=${setting[repository.images]}
tree=$environment_dir/tree
mkdir -p "$tree/sub/deep"
head -c 300000 /dev/urandom >"$tree/sub/deep/data.bin"
echo "a file" >"$tree/readme.txt"
echo "private" >"$tree/private.txt"
ln -s readme.txt "$tree/link"
ln -s /etc/passwd "$tree/outside"
chmod 600 "$tree/private.txt"
{
    mksquashfs "$tree" "$images/one.squashfs" -quiet -no-progress
    mkfs.erofs -q "$images/one.erofs" "$tree" || mkfs.erofs "$images/one.erofs" "$tree"
    xorriso -as mkisofs -quiet -o "$images/rock.iso" -R "$tree"
    xorriso -as mkisofs -quiet -o "$images/both.iso" -R -J "$tree"
    xorriso -as mkisofs -quiet -o "$images/plain.iso" "$tree"
    genisoimage -quiet -udf -R -J -o "$images/bridge.iso" "$tree"
    truncate -s 20M "$images/disk.ext4" && mkfs.ext4 -q "$images/disk.ext4"
    truncate -s 10M "$images/pure.udf" && mkudffs "$images/pure.udf"
} >/dev/null 2>&1
# A file over 4 GiB inside an ISO: nothing but holes, also in the image.
mkdir "$environment_dir/large"
truncate -s 4200M "$environment_dir/large/large.bin"
cp "$tree/readme.txt" "$environment_dir/large/"
tail -c 1000 "$tree/sub/deep/data.bin" >>"$environment_dir/large/large.bin"
xorriso -as mkisofs -quiet -iso-level 3 -R -o - "$environment_dir/large" 2>/dev/null |
    dd "of=$images/large.iso" conv=sparse bs=1M status=none
image_random firmware.bin 100000
head -c 2500000 "$images/linux/grub.iso" >"$images/cut.iso"
head -c 100000 "$images/one.squashfs" >"$images/cut.squashfs"
{ head -c 32768 /dev/zero; printf '\001CD001\001'; head -c 400000 /dev/urandom; } >"$images/bad.iso"
{ printf 'hsqs'; head -c 50000 /dev/urandom; } >"$images/bad.squashfs"
: >"$images/empty.iso"
chmod 644 "$images"/*.*
start

kinds=(one.squashfs one.erofs rock.iso both.iso plain.iso bridge.iso disk.ext4 pure.udf firmware.bin
    cut.iso cut.squashfs bad.iso bad.squashfs empty.iso linux/grub.iso "boot roms/ipxe.iso" memtest.iso)
arguments=()
for one in "${kinds[@]}"; do arguments+=(--image "$one"); done
create() { # USER CLIENT
    cdss share create "$1" "${arguments[@]}" --client "$2" --protocol http,ftp,tftp --for 10m
}
expect_ok "all kinds at once" create alice "$(client4 1)"
cp "$environment_dir/out" "$environment_dir/answer"

base=http://$server4:8080
for one in "${kinds[@]}"; do
    get_http 1 "$base/$(url_path "$one")" "$out/a"
    expect_same "$one, as it is" "$out/a" "$images/$one"
done

inside() { # NAME CONTENTS FILE EXPECTED
    get_http 1 "$base/$(url_path "$2/$3")" "$out/a"
    expect_same "inside $1: $3" "$out/a" "$4"
}
# Two images of one name without its extension: the second has ".contents" added.
one_squashfs=$(share_field alice 'image["one.squashfs"]["contents"]')
one_erofs=$(share_field alice 'image["one.erofs"]["contents"]')
[ -n "$one_squashfs" ] && [ -n "$one_erofs" ] && [ "$one_squashfs" != "$one_erofs" ]
verdict $? "one.squashfs and one.erofs have their contents in different directories"
for one in "$one_squashfs" "$one_erofs" rock both; do
    inside "$one" "$one" readme.txt "$tree/readme.txt"
    inside "$one" "$one" sub/deep/data.bin "$tree/sub/deep/data.bin"
    inside "$one" "$one" link "$tree/readme.txt"
    client 1 curl -sg -m 10 "$base/$(url_path "$one")/outside" | grep -q root:
    [ $? = 1 ]
    verdict $? "inside $one: a symlink out of the tree leads nowhere"
done
# As the doctor says: squashfs from Linux 6.2 on, erofs from 5.19 on.
if cdss --json doctor | grep -q 'images that are not readable by everybody stay unreadable'; then
    skip "inside $one_squashfs: private.txt" "this kernel has no id-mapped mounts of squashfs"
else
    inside "$one_squashfs" "$one_squashfs" private.txt "$tree/private.txt"
fi
get_ftp 1 epsv "ftp://$server4/rock/sub/deep/data.bin" "$out/a"
expect_same "inside rock.iso over FTP" "$out/a" "$tree/sub/deep/data.bin"
client 1 curl -sg -m 10 "ftp://$server4/rock/outside" 2>/dev/null | grep -q root:
[ $? = 1 ]
verdict $? "over FTP the symlink leads nowhere, either"
client 1 curl -sg -m 10 "tftp://$server4/rock/outside" 2>/dev/null | grep -q root:
[ $? = 1 ]
verdict $? "nor over TFTP"
# Names on a plain ISO 9660 are capitals; drivers show them in one case or the other.
client 1 curl -sfg -m 10 -o "$out/a" "$base/plain/readme.txt" ||
    client 1 curl -sfg -m 10 -o "$out/a" "$base/plain/README.TXT"
expect_same "inside a plain ISO" "$out/a" "$tree/readme.txt"

# The whole of the real ones, file by file.
whole() { # IMAGE-CONTENTS EXPECTED
    local wrong=0 n=0 file
    while read -r file; do
        n=$((n + 1))
        echo "url=\"$base/$(url_path "$1/$file")\""
        echo "output=\"$out/whole/$n\""
        printf '%s\n' "$2/$file" >>"$out/whole.list"
    done < <(cd "$2" && find . -type f | sed 's,^\./,,' | sort) >"$out/whole.curl"
    client 1 curl -sfg -m 60 --create-dirs -K "$out/whole.curl" >/dev/null 2>&1
    n=0
    while read -r file; do
        n=$((n + 1))
        cmp -s "$out/whole/$n" "$file" || { wrong=$((wrong + 1)); note "differs: $file"; }
    done <"$out/whole.list"
    [ "$wrong" = 0 ] && [ "$n" -gt 0 ]
    verdict $? "all $n files in $1"
    rm -rf "$out/whole" "$out/whole.list"
}
whole linux/grub "$data_dir/grub"
whole "boot roms/ipxe" "$data_dir/ipxe"
whole memtest "$data_dir/memtest"

for one in disk.ext4 firmware.bin; do
    [ -z "$(share_field alice "image['$one']['contents']")" ]
    verdict $? "$one is shared raw"
done
for one in cut.iso cut.squashfs bad.squashfs bad.iso disk.ext4; do
    [ -n "$(share_field alice "image['$one']['note'] or image['$one']['contents']")" ]
    verdict $? "$one: what is the matter is said: $(share_field alice "image['$one']['note']")"
    [ "$one" = bad.iso ] || [ -z "$(share_field alice "image['$one']['contents']")" ]
    verdict $? "$one: nothing is shown as its contents"
done
grep -q 'cut.iso' "$environment_dir/answer"
verdict $? "the answer to share create names it"
# A UDF bridge: the files are in the UDF half where the kernel can read that, in the ISO half else.
if [ -n "$(share_field alice 'image["bridge.iso"]["contents"]')" ]; then
    inside bridge.iso bridge sub/deep/data.bin "$tree/sub/deep/data.bin"
else
    [ -n "$(share_field alice 'image["bridge.iso"]["note"]')" ]
    verdict $? "bridge.iso is raw, and it is said why"
fi

# Where the reader gets it wrong, it says so; where not, the last bytes are right.
cdss share add alice --image large.iso >/dev/null 2>&1
verdict $? "an ISO with a file over 4 GiB in it is added"
inside large.iso large readme.txt "$tree/readme.txt"
note=$(share_field alice 'image["large.iso"]["note"]')
if [ -n "$note" ]; then
    [[ $note == *"4 GiB"* ]]
    verdict $? "large.iso: $note"
else
    get_http 1 "$base/large/large.bin" "$out/a" -r "$((4200 * 1024 * 1024))-"
    tail -c 1000 "$tree/sub/deep/data.bin" >"$out/want"
    expect_same "inside large.iso: behind 4 GiB" "$out/a" "$out/want"
fi

expect_ok "the same images for a second share" create bob "$(client4 2)"
n=$(loop_devices | grep -c '/one\.squashfs')
[ "$n" = 1 ]
verdict $? "one loop device serves both ($n)"
download_start "$out/long" client_exec 2 curl -sSf -m 30 --limit-rate 100k -o "$out/long" \
    "$base/$one_squashfs/sub/deep/data.bin"
expect_ok "the first share ends" cdss share remove alice
wait "$download"
expect_same "which does not disturb the second" "$out/long" "$tree/sub/deep/data.bin"

expect_ok "image list" cdss image list
for one in "${kinds[@]}"; do
    grep -qF "$one" "$environment_dir/out" || { note "$one"; break; }
done
grep -qF "$one" "$environment_dir/out"
verdict $? "it lists all of them"
expect_ok "the second share ends" cdss share remove bob
residue_check "nothing is left"

# No reader for ISO images but a kernel that has none.
if ! grep -qw iso9660 /proc/filesystems; then
    broker_stop
    setting[mount.readers]=kernel
    environment_configure
    start
    expect_ok "a host that cannot read ISO images" cdss share create alice --image memtest.iso \
        --client "$(client4 1)" --protocol http --for 10m
    [ -z "$(share_field alice 'image["memtest.iso"]["contents"]')" ] &&
        [ -n "$(share_field alice 'image["memtest.iso"]["note"]')" ]
    verdict $? "shares them raw and says why: $(share_field alice 'image["memtest.iso"]["note"]')"
    get_http 1 "$base/memtest.iso" "$out/a"
    expect_same "the ISO itself is right" "$out/a" "$images/memtest.iso"
fi
finish
