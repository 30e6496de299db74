#!/usr/bin/env bash
# FTP in its four modes over both address families, further addresses of the server, and what an
# FTP server must not do.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
image_random big.bin 20000000
images=${setting[repository.images]}
start

expect_ok "share create" cdss share create alice --image linux/grub.iso --image big.bin \
    --client "$(client4 1)" --client "$(client6 1)" --protocol ftp --for 10m

for mode in epsv pasv eprt port; do
    for address in "$server4" "$server6" "$server4b" "$server6b"; do
        [[ $address == *:* && $mode == p* ]] && continue # IPv4 only, by their nature
        get_ftp 1 "$mode" "ftp://$(url_host "$address")/big.bin" "$out/a"
        expect_same "$mode with $address" "$out/a" "$images/big.bin"
    done
    get_ftp 1 "$mode" "ftp://$server4/linux/grub/boot/grub/grub.cfg" "$out/a"
    expect_same "$mode: a file inside an image" "$out/a" "$data_dir/grub/boot/grub/grub.cfg"
done
get_lftp 1 "$server4" linux/grub/boot/grub/grub.cfg "$out/a"
expect_same "lftp" "$out/a" "$data_dir/grub/boot/grub/grub.cfg"
client 1 timeout 20 lftp -c "set net:max-retries 1; open ftp://$server4; mirror linux/grub/boot/grub/fonts $out/fonts" \
    >/dev/null 2>&1
diff -r "$out/fonts" "$data_dir/grub/boot/grub/fonts" >/dev/null
verdict $? "lftp mirrors a directory inside an image"
client 1 curl -sg -m 10 "ftp://$server4/" >"$out/list"
grep -q big.bin "$out/list" && grep -q linux "$out/list"
verdict $? "the root is listed"

get_ftp 1 epsv "ftp://$server4/big.bin" "$out/a" -C 19000000
tail -c 1000000 "$images/big.bin" >"$out/want"
cmp -s "$out/a" "$out/want"
verdict $? "a download is resumed (REST)"
client 1 curl -sg -m 10 "ftp://$server4/%2fetc/passwd" 2>/dev/null | grep -q :
[ $? = 1 ]
verdict $? "an absolute path does not leave the tree"
client 1 curl -sg -m 10 -T "$images/memtest.iso" "ftp://$server4/new.iso" >/dev/null 2>&1
[ $? != 0 ]
verdict $? "nothing can be uploaded"
client 1 curl -sg -m 10 -Q "DELE big.bin" "ftp://$server4/" >/dev/null 2>&1
[ $? != 0 ] && [ -f "$images/big.bin" ]
verdict $? "nothing can be deleted"

# Many sessions at once, each with a process of its own.
pids=()
for i in 1 2 3 4 5 6; do
    get_ftp 1 epsv "ftp://$server4/big.bin" "$out/p$i" &
    pids+=($!)
done
wait "${pids[@]}"
for i in 1 2 3 4 5 6; do cmp -s "$out/p$i" "$images/big.bin" || break; done
cmp -s "$out/p$i" "$images/big.bin"
verdict $? "six downloads at once"
finish
