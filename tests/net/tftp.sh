#!/usr/bin/env bash
# TFTP with three clients: block sizes, tsize, windows, both families; names; no writing.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
image_random boot.bin 3000000
image_random exact.bin 1048576 # a whole number of blocks: the last one is empty
images=${setting[repository.images]}
start

expect_ok "share create" cdss share create alice --image linux/grub.iso --image boot.bin \
    --image exact.bin --client "$(client4 1)" --client "$(client6 1)" --protocol tftp --for 10m

for address in "$server4" "$server6" "$server4b"; do
    for program in curl tftp-hpa atftp; do
        get_tftp 1 "$program" "$address" boot.bin "$out/a"
        expect_same "$program from $address" "$out/a" "$images/boot.bin"
    done
done
# notes of the server: atftpd answers from the wrong address here unless something is done about it
get_tftp 1 curl "$server6b" boot.bin "$out/a"
if cmp -s "$out/a" "$images/boot.bin"; then
    ok "curl from $server6b, a second IPv6 address"
elif cdss doctor 2>/dev/null | grep -qiE 'tftp.*(address|IPv6)'; then
    skip "curl from $server6b" "a limit of atftpd, and doctor says so"
else
    not_ok "curl from $server6b, a second IPv6 address (and doctor is silent about it)"
fi
rm -f "$out/a"
for size in 100 512 1428 1468 8192 65464; do
    client 1 curl -sSfg -m 20 --tftp-blksize "$size" -o "$out/a" "tftp://$server4/boot.bin" \
        2>"$environment_dir/client.err"
    expect_same "blksize $size" "$out/a" "$images/boot.bin"
done
for window in 1 2 4 16 32 64; do
    get_tftp 1 "atftp:$window" "$server4" exact.bin "$out/a"
    expect_same "windowsize $window" "$out/a" "$images/exact.bin"
done
client 1 timeout 20 atftp --option "tsize 0" -g -r boot.bin -l "$out/a" "$server4" 69 \
    2>"$environment_dir/client.err"
expect_same "tsize" "$out/a" "$images/boot.bin"
client 1 python3 "$net_dir/tools/tftp.py" "$server4" exact.bin "$out/a" >/dev/null \
    2>"$environment_dir/client.err"
expect_same "a client without options" "$out/a" "$images/exact.bin"
get_tftp 1 curl "$server4" linux/grub/boot/grub/i386-pc/normal.mod "$out/a"
expect_same "a file inside an image" "$out/a" "$data_dir/grub/boot/grub/i386-pc/normal.mod"

started=$(milliseconds)
get_tftp 1 curl "$server4" nothing.bin "$out/a"
[ $? = 68 ] && [ $(($(milliseconds) - started)) -lt 3000 ]
verdict $? "a wrong name is an error at once"
for path in ../../etc/passwd /../etc/passwd /etc/passwd linux/../../etc/passwd; do
    client 1 timeout 20 python3 "$net_dir/tools/tftp.py" "$server4" "$path" "$out/a" \
        --limit 3 >/dev/null 2>&1
    grep -q : "$out/a"
    [ $? = 1 ]
    verdict $? "nothing outside the tree: $path"
done
client 1 timeout 10 curl -sg -m 5 -T "$images/boot.bin" "tftp://$server4/new.bin" >/dev/null 2>&1
[ $? != 0 ]
verdict $? "nothing can be uploaded"
pids=()
for i in 1 2 3 4 5 6; do
    get_tftp 1 atftp:8 "$server4" boot.bin "$out/p$i" &
    pids+=($!)
done
wait "${pids[@]}"
good=0
for i in 1 2 3 4 5 6; do cmp -s "$out/p$i" "$images/boot.bin" && good=$((good + 1)); done
[ "$good" = 6 ]
verdict $? "six downloads at once ($good right)"
finish
