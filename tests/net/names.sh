#!/usr/bin/env bash
# Names of all kinds, and arguments that are wrong: served right, or refused with a sentence. Files
# over 4 GiB to their last byte.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
long=$(printf 'n%.0s' {1..251}).bin # 255 bytes
names=("with space.bin" "quote\"double.bin" "quote'single.bin" $'new\nline.bin' $'tab\tand\rcr.bin'
    $'delete\x7f.bin' "umlaut-äöü-日本語.bin" $'latin1-\xe4\xff.bin' "-leading.bin" "--image.bin" "percent%41%.bin"
    "{{user}}.bin" "back\\slash.bin" "semi;colon&and|pipe.bin" "dollar\$(id)\`id\`.bin" "star*[q]?.bin"
    "plus+hash#.bin" "<b>html.bin" "..dots.." "dir with space/-sub dir/$long" ".hidden.bin")
for name in "${names[@]}"; do image_random "./$name" 2000; done
start

# Over HTTP everything, over FTP and TFTP what their syntax can carry.
for name in "${names[@]}"; do
    shown=$(printf %q "${name:0:40}")
    cdss share create alice "--image=$name" --client "$(client4 1)" --protocol http,ftp,tftp \
        --for 10m >"$environment_dir/out" 2>"$environment_dir/err"
    status=$?
    if [ $status != 0 ]; then
        sed 's/^/#   /' "$environment_dir/err" | head -n 3
        { [ $status = 1 ] || [ $status = 2 ]; } && [ "$(grep -c . "$environment_dir/err")" = 1 ] &&
            grep -q "holds a control character, which no protocol can name" "$environment_dir/err" &&
            [[ $name == *[[:cntrl:]]* ]] # of all these, control characters alone are refused
        verdict $? "refused with a sentence: $shown"
        continue
    fi
    [[ $name != *[[:cntrl:]]* ]]
    verdict $? "shared: $shown"
    ! grep -q "$(printf '[\001-\010\013-\037]')" "$environment_dir/out"
    verdict $? "shown without control characters: $shown"
    get_http 1 "http://$server4:8080/$(url_path "$name")" "$out/a"
    expect_same "HTTP: $shown" "$out/a" "$images/$name"
    get_ftp 1 epsv "ftp://$server4/$(url_path "$name")" "$out/a"
    expect_same "FTP: $shown" "$out/a" "$images/$name"
    [ "$name" != "dir with space/-sub dir/$long" ] || { cdss share remove alice >/dev/null; continue; }
    get_tftp 1 curl "$server4" "$name" "$out/a"
    expect_same "TFTP: $shown" "$out/a" "$images/$name"
    cdss share remove alice >/dev/null 2>&1
done
[ ${#names[@]} = 21 ] && cdss image list >"$environment_dir/out" 2>&1 &&
    ! grep -q "$(printf '[\001-\010\013-\037]')" "$environment_dir/out"
verdict $? "image list shows no control characters"
! grep -E "new|tab|delete" "$environment_dir/out"
verdict $? "image list leaves out what cannot be shared"
cdss --json image list | python3 -c 'import json, sys; json.load(sys.stdin)'
verdict $? "image list --json is JSON"

# What is neither listed nor shared.
mkdir -p "$images/dir" "$environment_dir/elsewhere"
image_random dir/real.bin 10
echo secret >"$environment_dir/elsewhere/secret.bin"
ln -s "$environment_dir/elsewhere/secret.bin" "$images/symlink.bin"
ln -s "$environment_dir/elsewhere" "$images/symlinked"
ln -s dir "$images/inner"
mkfifo "$images/fifo.bin"
mknod "$images/null.bin" c 1 3
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$images/socket.bin"
echo x >"$images/real.bin.passwd"
echo x >"$images/dir/.passwd"
create() { cdss share create alice "$@" --client "$(client4 1)" --protocol http --for 10m; }
for name in symlink.bin symlinked/secret.bin inner/real.bin fifo.bin null.bin socket.bin \
    real.bin.passwd dir/.passwd dir nothing.bin .. . ../secret.bin dir/../with\ space.bin \
    /etc/passwd "$images/with space.bin" "" dir/ dir//real.bin ./dir/real.bin "$(printf 'x%.0s' {1..256})" \
    "$(printf 'x/%.0s' {1..600})x"; do
    expect_refused "image \"${name:0:50}\"" . create "--image=$name"
done
cdss image list >"$environment_dir/out"
! grep -E 'symlink|inner|fifo|null\.bin|socket|passwd|secret' "$environment_dir/out"
verdict $? "none of them is listed"

# Arguments.
for user in "" "a b" "../x" "/" "-x" "$(printf 'u%.0s' {1..33})" "a;b" $'a\nb' "a%n" ".." "ä"; do
    expect_refused "user \"${user:0:40}\"" . cdss share create --image "with space.bin" \
        --client "$(client4 1)" --protocol http --for 10m -- "$user"
done
for lifetime in 0s 0 -1s 1 h 1w 1.5h 99999999999999999999s 9999d "1h " ""; do
    expect_refused "lifetime \"$lifetime\"" . cdss share create alice --image "with space.bin" \
        --client "$(client4 1)" --protocol http "--for=$lifetime"
done
for protocol in gopher "" HTTP http,,ftp ../http "$(printf 'p%.0s' {1..100})"; do
    expect_refused "protocol \"${protocol:0:40}\"" . cdss share create alice --image "with space.bin" \
        --client "$(client4 1)" "--protocol=$protocol" --for 10m
done
expect_refused "no image" . cdss share create alice --client "$(client4 1)" --protocol http
expect_refused "no client" . cdss share create alice --image "with space.bin" --protocol http
expect_refused "no protocol" . cdss share create alice --image "with space.bin" --client "$(client4 1)"
expect_refused "no user" . cdss share create --image "with space.bin" --client "$(client4 1)" \
    --protocol http
expect_status 2 "an unknown command" cdss share frobnicate
expect_status 2 "an unknown option" cdss share list --frobnicate
expect_status 2 "an operand too many" cdss share remove alice bob
expect_status 2 "no command" cdss
many=()
for i in {1..65}; do many+=(--image "with space.bin"); done
expect_refused "65 images" . create "${many[@]}"

# Given twice: the same as once, or refused; but nothing in between.
repeated() { # NAME ARGUMENT...
    local name=$1 status
    shift
    cdss share create alice "$@" --for 10m >"$environment_dir/out" 2>"$environment_dir/err"
    status=$?
    if [ $status = 0 ]; then
        get_http 1 "http://$server4:8080/with%20space.bin" "$out/a"
        expect_same "$name: taken, and right" "$out/a" "$images/with space.bin"
        expect_ok "$name: and removed" cdss share remove alice
    else
        { [ $status = 1 ] || [ $status = 2 ]; } && [ "$(grep -c . "$environment_dir/err")" = 1 ]
        verdict $? "$name: refused ($(cat "$environment_dir/err"))"
    fi
}
repeated "an image twice" --image "with space.bin" --image "with space.bin" --client "$(client4 1)" \
    --protocol http
repeated "a client twice" --image "with space.bin" --client "$(client4 1)" --client "$(client4 1)" \
    --protocol http
repeated "a protocol twice" --image "with space.bin" --client "$(client4 1)" --protocol http,http
repeated "--protocol twice" --image "with space.bin" --client "$(client4 1)" --protocol http \
    --protocol ftp
residue_check "nothing is left of all that"

# Over 4 GiB: something at the start and at 5 GiB, and nothing but a hole between.
head -c 2000 /dev/urandom >"$images/huge.img"
truncate -s 5G "$images/huge.img"
head -c 100000 /dev/urandom >"$environment_dir/tail"
cat "$environment_dir/tail" >>"$images/huge.img"
expect_ok "a file over 4 GiB is shared" cdss share create alice --image huge.img \
    --client "$(client4 1)" --protocol http,ftp,tftp --for 10m
at=$((5 * 1024 * 1024 * 1024))
get_http 1 "http://$server4:8080/huge.img" "$out/a" -r "$at-"
expect_same "its end by an HTTP range" "$out/a" "$environment_dir/tail"
client 1 curl -sIg -m 10 "http://$server4:8080/huge.img" | tr -d '\r' |
    grep -qi "^content-length: $((at + 100000))$"
verdict $? "its length over HTTP"
client 1 curl -sSfg -m 20 -C "$at" -o "$out/a" "ftp://$server4/huge.img" 2>"$environment_dir/client.err"
expect_same "its end over FTP" "$out/a" "$environment_dir/tail"
client 1 curl -sIg -m 10 "ftp://$server4/huge.img" | tr -d '\r' |
    grep -qi "^content-length: $((at + 100000))$"
verdict $? "its length over FTP"
size=$(client 1 timeout 5 python3 "$net_dir/tools/tftp.py" "$server4" huge.img "$out/a" --size 2>&1)
[ "$size" = $((at + 100000)) ]
verdict $? "its length over TFTP ($size)"
# Blocks of 512 bytes: 10 million of them, so only the first few.
client 1 timeout 5 python3 "$net_dir/tools/tftp.py" "$server4" huge.img "$out/a" --blocks 3 >/dev/null \
    2>"$environment_dir/client.err"
head -c 1536 "$images/huge.img" >"$environment_dir/first"
expect_same "its first blocks over TFTP" "$out/a" "$environment_dir/first"
client 1 curl -sSfg -m 100 --tftp-blksize 65464 "tftp://$server4/huge.img" \
    2>"$environment_dir/client.err" | tail -c 100000 >"$out/a"
expect_same "its end over TFTP, block numbers rolled over" "$out/a" "$environment_dir/tail"
finish
