#!/usr/bin/env bash
# Changing a live share: more time up to the last moment and not after it, more images while others
# are being read; and cdss reap.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
images=${setting[repository.images]}
truncate -s 8G "$images/huge.img"
image_random boot.bin 500000
mkdir "$environment_dir/tree" && echo hello >"$environment_dir/tree/hello"
mksquashfs "$environment_dir/tree" "$images/disc.squashfs" -quiet -no-progress >/dev/null
start
first=4 more=4
[ "$sanitized" = no ] || first=7

expect_status 3 "reap: nothing to do" cdss reap
expect_refused "extend what is not there" "no share|nobody" cdss share extend nobody --for 1h
expect_refused "add to what is not there" "no share|nobody" cdss share add nobody --image boot.bin

# Extending.
begun=$(milliseconds)
expect_ok "a share of $first s" cdss share create alice --image huge.img --client "$(client4 1)" \
    --protocol http --for ${first}s
download_start "$out/long" long_http 1 "http://$server4:8080/huge.img" "$out/long"
while [ "$(milliseconds)" -lt $((begun + first * 1000 - 500)) ]; do sleep 0.05; done
expect_ok "it is extended in its last moment" cdss share extend alice --for ${more}s
extended=$(milliseconds)
sleep 1.5
wait_for 2 grows_beyond "$out/long" "$(stat -c %s "$out/long")" && ! is_gone "$download"
verdict $? "the download goes on over the old end"
while [ "$(milliseconds)" -lt $((extended + more * 1000)) ]; do sleep 0.05; done
expect_cut "the new end counts" $((extended + more * 1000))
rm -f "$out/long"
expect_refused "extending it afterwards" "has ended" cdss share extend alice --for 1h
expect_refused "a lifetime of nothing" . cdss share extend alice --for 0s
residue_check "nothing is left"

# Adding.
expect_ok "a share" cdss share create alice --image huge.img --client "$(client4 1)" \
    --protocol http,ftp,tftp --for 10m
download_start "$out/long" long_http 1 "http://$server4:8080/huge.img" "$out/long"
expect_ok "an ISO, a squashfs and a plain file are added" cdss share add alice \
    --image linux/grub.iso --image disc.squashfs --image boot.bin
get_http 1 "http://$server4:8080/boot.bin" "$out/a"
expect_same "the plain file over HTTP" "$out/a" "$images/boot.bin"
get_http 1 "http://$server4:8080/linux/grub/boot/grub/grub.cfg" "$out/a"
expect_same "a file inside the ISO over HTTP" "$out/a" "$data_dir/grub/boot/grub/grub.cfg"
get_ftp 1 epsv "ftp://$server4/disc/hello" "$out/a"
expect_same "a file inside the squashfs over FTP" "$out/a" "$environment_dir/tree/hello"
get_tftp 1 curl "$server4" linux/grub/boot/grub/grub.cfg "$out/a"
expect_same "a file inside the ISO over TFTP" "$out/a" "$data_dir/grub/boot/grub/grub.cfg"
wait_for 2 grows_beyond "$out/long" "$(stat -c %s "$out/long")"
verdict $? "the download that ran before goes on"
[ "$(share_field alice 'len(share["images"])')" = 4 ]
verdict $? "show lists four images"
expect_refused "an image that it has already" "already" cdss share add alice --image boot.bin
expect_refused "an image that is not there" "not in the repository" cdss share add alice \
    --image nothing.iso
expect_refused "good and bad ones together" "not in the repository" cdss share add alice \
    --image "boot roms/ipxe.iso" --image nothing.iso
[ "$(share_field alice 'len(share["images"])')" = 4 ]
verdict $? "which adds none of them"
expect_status 3 "reap leaves a live share alone" cdss reap
! is_gone "$download"
verdict $? "and its download"
expect_ok "remove" cdss share remove alice
finish
