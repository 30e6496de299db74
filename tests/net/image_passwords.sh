#!/usr/bin/env bash
# Passwords of images and directories: how administrators set them, what users need to get at what
# they guard, what refusals tell, and that none of it is served.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
mkdir -p "$images"/{lab/deep,many,odd/{link,fifo,directory,huge,empty,foreign}}
for path in free.bin lab/x.bin lab/deep/y.bin many/{1..64}.bin odd/{link,fifo,directory,huge,empty,foreign}/z.bin; do
    head -c 20000 /dev/urandom >"$images/$path"
done
web_uid=$(id -u www-data)
setting[broker.web_users]=www-data
setting[broker.admin_group]=games # any that is there; it has no members but the test's
setting[policy.claim]="10.0.0.0/8"
environment_configure
start
log_has() { cat "$environment_dir"/broker-*.log | grep -qF -e "$1"; }

# -- setting them ----------------------------------------------------------------------------------

password() { printf '%s\n' "$1" | cdss password "${@:2}"; } # PASSWORD add ...
secret="lab correct horse"
expect_ok "a directory gets a password" password "$secret" add lab --label "lab 2"
expect_ok "and an image below it" password image-secret add lab/deep/y.bin --label mine
expect_refused "the same label twice" "of this label already" password other add lab --label "lab 2"
expect_refused "a path that is not there" "not in the repository" password other add lab/no.bin
expect_refused "a way out" "component" password other add ../lab
expect_refused "no password" "no password on standard input" cdss password add lab
expect_refused "two passwords" "more than 1 password" password $'a\nb' add lab
expect_status 3 "removing what is not there" cdss password remove lab nobody
[ "$(stat -c '%a %U' "$images/lab/.passwd" "$images/lab/deep/y.bin.passwd" | sort -u)" = "600 root" ]
verdict $? "the files are for their owner alone"
! grep -rqF -e "$secret" -e image-secret "$images" "$environment_dir"/broker-*.log
verdict $? "what was typed is nowhere, a hash is"
cdss password list lab >"$out/list" && grep -qE '^ *1 +lab 2 +yescrypt' "$out/list"
verdict $? "they are listed"
cdss --json password list lab | python3 -c 'import json, sys
assert json.load(sys.stdin) == {"passwords": [
    {"line": 1, "label": "lab 2", "method": "yescrypt", "note": ""}]}'
verdict $? "as JSON, too"

terminal() { # ANSWER... -- COMMAND...: what stood on the screen is in $out/screen
    server timeout 30 python3 "$net_dir/tools/terminal.py" "$@" >"$out/screen" 2>&1
}
tty_add=("$build_dir/broker/cdss" -c "$config" password add lab --label typed)
terminal typed-secret typed-secret -- "${tty_add[@]}" && grep -q "has 2 now" "$out/screen" &&
    ! grep -q typed-secret "$out/screen"
verdict $? "on a terminal it is asked for twice, and not shown"
! terminal one two -- "${tty_add[@]}" && grep -q "differ; nothing was done" "$out/screen"
verdict $? "the second time must be like the first"
! terminal ^C -- "${tty_add[@]}" && [ "$(grep -c . "$images/lab/.passwd")" = 2 ]
verdict $? "Ctrl-C changes nothing"
expect_ok "and is gone again" cdss password remove lab typed

cp "$build_dir/broker/cdss" "$environment_dir/cdss" # the build may be where only root gets
as_somebody() { # GROUP ARGUMENT...: cdss, with a uid that nobody has, and that group beside its own
    in_ns server setpriv --reuid 54321 --regid 54321 --groups "$1" \
        timeout 30 "$environment_dir/cdss" -c "$config" "${@:2}"
}
member() { printf 'group-secret\n' | as_somebody games password "$@"; }
expect_ok "a member of admin_group, who cannot write there himself, adds one" member add lab --label theirs
[ "$(stat -c '%a %U' "$images/lab/.passwd")" = "600 root" ] &&
    ! setpriv --reuid 54321 --regid 54321 --groups games cat "$images/lab/.passwd" 2>/dev/null
verdict $? "which he cannot read either"
expect_ok "and removes it" member remove lab theirs
expect_refused "somebody else reaches nothing" "you may not talk to the broker; be root or a member of the group games" as_somebody nogroup password list lab

# -- who gets what ---------------------------------------------------------------------------------

# Refusals take two seconds each: they are asked for side by side, each for another address.
number=0
declare -A refusals=()
create() { # USER ADDRESS PASSWORDS IMAGE...: as a user
    local arguments=()
    local image
    for image in "${@:4}"; do arguments+=(--image "$image"); done
    printf '%s' "$3" | cdss share create "$1" "${arguments[@]}" --client "$2" --protocol http,ftp,tftp \
        --for 10m --as-user --image-passwords-stdin
}
try() { # NAME PASSWORDS IMAGE...: which is to be refused
    number=$((number + 1))
    refusals[$number]=$1
    (
        create "try$number" "10.65.0.$number" "${@:2}" >"$out/try$number" 2>&1
        echo "exit $?" >>"$out/try$number"
    ) &
    background+=($!)
}
await_tries() { # the sentence must be that of a closed image
    local n
    for n in "${!refusals[@]}"; do
        wait_for 30 grep -qs '^exit' "$out/try$n"
        grep -q '^exit 1' "$out/try$n" && [ "$(grep -c . "$out/try$n")" = 2 ] &&
            grep -qE '^cdss: The image ".*" is not in the repository, or needs a password that was not given[.;]' "$out/try$n"
        verdict $? "${refusals[$n]}"
    done
    refusals=()
}

expect_ok "an administrator needs none" cdss share create root --image lab/deep/y.bin \
    --client "$(client4 2)" --protocol http
expect_ok "who asks for what is free needs none" create free "$(client4 3)" "" free.bin
cdss share remove free >/dev/null
try "no password" "" lab/x.bin
try "a wrong one" wrong lab/x.bin
try "that of another level" image-secret lab/x.bin
try "one of two levels" "$secret" lab/deep/y.bin
try "the other of two levels" image-secret lab/deep/y.bin
try "a good one for one of two images" image-secret lab/x.bin free.bin
try "an image that is not there" "$secret" lab/no.bin
try "a directory" "$secret" lab/deep
try "in capitals" "${secret^^}" lab/x.bin
await_tries
expect_ok "both levels, in any order, among others" create alice "$(client4 1)" \
    $'image-secret\nwrong\n'"$secret"$'\nimage-secret\n' lab/deep/y.bin free.bin lab/x.bin
for path in lab/deep/y.bin lab/x.bin; do
    get_http 1 "http://$server4:8080/$path" "$out/a"
    expect_same "$path over HTTP" "$out/a" "$images/$path"
done
get_ftp 1 epsv "ftp://$server4/lab/deep/y.bin" "$out/a"
expect_same "over FTP" "$out/a" "$images/lab/deep/y.bin"
get_tftp 1 curl "$server4" lab/deep/y.bin "$out/a"
expect_same "over TFTP" "$out/a" "$images/lab/deep/y.bin"

# -- they are not served ---------------------------------------------------------------------------

client 1 curl -sS -m 10 "http://$server4:8080/lab/" "http://$server4:8080/lab/deep/" \
    "ftp://$server4/lab/" "ftp://$server4/lab/deep/" >"$out/listed" 2>"$environment_dir/client.err"
grep -q y.bin "$out/listed" && ! grep -q passwd "$out/listed"
verdict $? "no listing has a password file"
served=
for path in lab/.passwd lab/deep/y.bin.passwd; do
    get_http 1 "http://$server4:8080/$path" "$out/a" && served+=" http:$path"
    get_ftp 1 epsv "ftp://$server4/$path" "$out/a" && served+=" ftp:$path"
    get_tftp 1 curl "$server4" "$path" "$out/a" && served+=" tftp:$path"
done
rm -f "$out/a"
[ -z "$served" ]
verdict $? "none is served over HTTP, FTP or TFTP$served"
cdss image list >"$out/listed" && ! grep -q passwd "$out/listed" &&
    grep -qE '^lab/x.bin .* yes *$' "$out/listed" && grep -qE '^free.bin .* - *$' "$out/listed"
verdict $? "image list says what is guarded, and by nothing"
expect_refused "nobody shares one" "password file" cdss share create bob --image lab/.passwd \
    --client "$(client4 3)" --protocol http

# -- odd files guard -------------------------------------------------------------------------------

ln -s ../../lab/.passwd "$images/odd/link/.passwd"
mkfifo "$images/odd/fifo/.passwd"
mkdir "$images/odd/directory/.passwd"
{ cat "$images/lab/.passwd"; head -c 40000 /dev/zero | tr '\0' '\n'; } >"$images/odd/huge/.passwd"
: >"$images/odd/empty/.passwd"
install -m 666 "$images/lab/.passwd" "$images/odd/foreign/.passwd"
for kind in link fifo directory huge empty foreign; do
    try "a password file that is odd: $kind" "$secret" "odd/$kind/z.bin"
done
await_tries
for phrase in "link/.passwd is not a regular file" "fifo/.passwd is not a regular file" \
    "directory/.passwd is not a regular file" "huge/.passwd is longer" "empty/.passwd holds no" \
    "foreign/.passwd may be changed by others"; do
    log_has "odd/$phrase"
    verdict $? "the log says: odd/$phrase"
done
expect_ok "an administrator is let in" cdss share create bob --image odd/fifo/z.bin \
    --client "$(client4 3)" --protocol http
cdss share remove bob >/dev/null
expect_refused "nor is one overwritten" "put it right by hand" password new add odd/link
# shellcheck disable=SC2016 # a hash
printf '%s\n' 'secret' '$2b$31$O1U6dxUkgP.B/csYZdOOe.y9QvfaMDdRBPAcqKcoqQkEGhnPpJHMK dear' \
    >"$images/odd/empty/.passwd"
cdss password list odd/empty >"$out/list" && grep -q '^ *2 .*costs too much' "$out/list" &&
    grep -q "holds no password" "$out/list"
verdict $? "list shows which lines are of no use"

# -- a web user's share: extending and adding ------------------------------------------------------

answer=$environment_dir/answer
web() { # REQUEST FIELD=VALUE...: true when it is done
    server python3 "$net_dir/tools/web.py" --uid "$web_uid" "${setting[broker.socket]}" "$@" \
        "requester=$(client4 3)" >"$answer" 2>&1
    grep -q '"message": "DONE"' "$answer"
}
own="password=carols own"
web SHARE_CREATE user=carol "$own" images=lab/x.bin images=free.bin "image_passwords=$secret" \
    "clients=$(client4 3)" protocols=http seconds=600
verdict $? "a web user's share"
web SHARE_EXTEND user=carol "$own" seconds=700
verdict $? "it is extended without its image's password"
expect_ok "the password is another now" password "new secret" add lab --label new
cdss password remove lab "lab 2" >/dev/null
# Four questions side by side: two seconds.
web SHARE_EXTEND user=carol "$own" seconds=800 "image_passwords=$secret" &
old=$!
web_answer=$answer
{ answer=$out/none; web SHARE_EXTEND user=carol "$own" seconds=800; } &
none=$!
{ answer=$out/add; web SHARE_ADD user=carol "$own" images=lab/deep/y.bin "image_passwords=new secret"; } &
add=$!
wait "$old"; [ $? = 1 ] && grep -q 'lab/x.bin.*needs a password' "$web_answer"
verdict $? "extending with the old password is refused"
wait "$none"; [ $? = 1 ]
verdict $? "and with none"
wait "$add"; [ $? = 1 ]
verdict $? "adding with one of two levels is refused"
web SHARE_EXTEND user=carol "$own" seconds=800 "image_passwords=new secret"
verdict $? "with the new one it is extended"
web SHARE_EXTEND user=carol "$own" seconds=900
verdict $? "and that is remembered"
web SHARE_ADD user=carol "$own" images=lab/deep/y.bin "image_passwords=new secret" \
    "image_passwords=image-secret"
verdict $? "adding with both is well"
expect_ok "an administrator extends without" cdss share extend carol --for 20m
cdss password remove lab new >"$out/list" && grep -q "nobody but administrators" "$out/list"
verdict $? "the last password gone, the file stays"
try "and lets nobody in" "new secret" lab/x.bin
await_tries
rm "$images/lab/.passwd"

# -- what refusals tell by their time --------------------------------------------------------------

password a add lab >/dev/null && password b add lab/deep >/dev/null && password c add . >/dev/null
if [ "$sanitized" = no ]; then # which would learn nothing from it
    server python3 "$net_dir/tools/gate_times.py" "${setting[broker.socket]}" 6 no/no.bin lab/x.bin \
        lab/deep/y.bin >"$out/times" 2>&1
    verdict $? "their times do not tell whether an image is there"
    sed 's/^/# /' "$out/times"
fi

# -- who guesses, and who asks for much ------------------------------------------------------------

# Four at a time, until the answer is that he has to wait.
guess() { create "guess$1" 10.64.0.1 wrong no/guess.bin >"$out/guess$1" 2>&1; }
for round in 1 2 3 4 5 6; do
    guessing=()
    for i in 1 2 3 4; do guess "$i" & guessing+=($!); done
    wait "${guessing[@]}"
    ! grep -q "Too many wrong passwords were given from this address; try again in [0-9]* s" \
        "$out"/guess? || break
done
[ "$round" != 1 ] && [ "$round" != 6 ]
verdict $? "who guesses has to wait (from his guess $((4 * round - 3)) or later)"
expect_ok "others do not" create dora 10.61.0.1 $'a\nc' lab/x.bin
rm "$images/.passwd"
# 64 images, 4 hashes and 16 passwords are as much as one may ask for.
for i in 1 2 3 4; do password "x$i" add many >/dev/null; done
sixteen=$(printf 'x%s\n' {1..16})
greedy=()
for i in 1 2 3; do # who of them comes first has the address
    create "greedy$i" 10.63.0.1 "$sixteen" many/{1..64}.bin >"$out/greedy$i" 2>&1 &
    greedy+=($!)
done
begun=$(milliseconds)
expect_ok "status answers while somebody asks for much" cdss status
took=$(($(milliseconds) - begun))
begun=$(milliseconds)
expect_ok "another user gets his image meanwhile" create eve 10.62.0.1 x4 many/1.bin
note "status took $took ms, the other user's share $(($(milliseconds) - begun)) ms"
got=0
for i in "${greedy[@]}"; do wait "$i" && got=$((got + 1)); done
[ "$got" = 1 ]
verdict $? "one of those who asked for much has it: 64 images, and 64 checks"
finish
