#!/usr/bin/env bash
# A share over HTTP: images and what is inside them, ranges, listings, over IPv4 and IPv6 and the
# server's further addresses.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
image_random data.bin 3000000
images=${setting[repository.images]}
start

expect_ok "share create" cdss share create alice --image linux/grub.iso --image "boot roms/ipxe.iso" \
    --image data.bin --client "$(client4 1)" --client "$(client6 1)" --protocol http --for 10m
grep -qF "http://$server4:8080/" "$environment_dir/out"
verdict $? "it says what to type"

for address in "$server4" "$server6" "$server4b" "$server6b"; do
    base=http://$(url_host "$address"):8080
    get_http 1 "$base/linux/grub.iso" "$out/a"
    expect_same "an image from $address" "$out/a" "$images/linux/grub.iso"
    get_http 1 "$base/linux/grub/boot/grub/grub.cfg" "$out/a"
    expect_same "a file inside it from $address" "$out/a" "$data_dir/grub/boot/grub/grub.cfg"
done

base=http://$server4:8080
get_http 1 "$base/boot%20roms/ipxe/ipxe.krn" "$out/a"
expect_same "a file inside an image with a space in its path" "$out/a" "$data_dir/ipxe/ipxe.krn"
get_http 1 "$base/" "$out/list"
grep -q 'linux/' "$out/list" && grep -q 'data.bin' "$out/list"
verdict $? "the root is listed"
get_http 1 "$base/linux/grub/boot/grub/" "$out/list"
grep -q 'grub.cfg' "$out/list"
verdict $? "a directory inside an image is listed"

headers() { client 1 curl -sg -m 10 -o "$out/body" -D - "$@" | tr -d '\r'; }
tail -c +1001 "$images/data.bin" | head -c 500 >"$out/want"
headers -r 1000-1499 "$base/data.bin" | grep -q '^HTTP/1.1 206' && cmp -s "$out/body" "$out/want"
verdict $? "a range"
tail -c 700 "$images/data.bin" >"$out/want"
headers -r -700 "$base/data.bin" | grep -q '^HTTP/1.1 206' && cmp -s "$out/body" "$out/want"
verdict $? "the last bytes"
headers -H 'Range: bytes=u-u' "$base/data.bin" | grep -q '^HTTP/1.1 200' &&
    cmp -s "$out/body" "$images/data.bin"
verdict $? "a malformed range gets the whole file"
headers -H 'Range: bytes=99999999-' "$base/data.bin" | grep -q '^HTTP/1.1 416'
verdict $? "a range behind the end is 416"
headers -I "$base/data.bin" | grep -qi '^content-length: 3000000'
verdict $? "HEAD tells the length"
headers "$base/linux/grub/boot/grub/grub.cfg" >"$out/headers"
grep -qi '^x-content-type-options: nosniff' "$out/headers" &&
    grep -qi '^content-security-policy:.*sandbox' "$out/headers"
verdict $? "what is inside an image cannot act as a web page of the site"
headers "$base/nothing.iso" | grep -q '^HTTP/1.1 404'
verdict $? "a wrong name is 404"
client 1 curl -sg -m 10 --path-as-is "$base/../../../etc/passwd" "$base/%2e%2e/%2e%2e/etc/passwd" \
    "$base/linux/..%2f..%2f../etc/passwd" | grep -q root:
[ $? = 1 ]
verdict $? "nothing outside the tree"
client 1 curl -sg -m 10 -o /dev/null -w '%{http_code}' -T "$images/data.bin" "$base/new" |
    grep -q '^4'
verdict $? "nothing can be uploaded"

expect_ok "share list" cdss share list
grep -q alice "$environment_dir/out"
verdict $? "the share is in the list"
expect_ok "share remove" cdss share remove alice
expect_status 3 "removing it again: there is nothing to do" cdss share remove alice
get_http 1 "$base/data.bin" "$out/a"
[ $? = 7 ]
verdict $? "refused afterwards"
finish
