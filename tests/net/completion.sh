#!/usr/bin/env bash
# Completion in an interactive bash: a TAB behind what was typed, and then the words that bash has.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
image_random "boot roms/ipxe.iso" 1000
image_random linux/debian.iso 1000
image_random 'odd"$(name):1.iso' 1000
PATH=$build_dir/broker:$PATH
cp -a "$source_dir/templates" "$environment_dir/templates"
mkdir "$environment_dir/templates/nothing"
setting[broker.templates]=$environment_dir/templates
environment_configure

# A ^ marks where the cursor is afterwards: behind a blank when the word is complete.
names=() lines=() expected=()
complete_line() { # NAME LINE WORD...
    names+=("$1")
    lines+=("cdss -c $config $2")
    expected+=("$(printf '%s\n' cdss -c "$config" "${@:3}" END)")
}

# One bash for all of them.
expect_completed() {
    local i from=1
    server timeout 120 python3 "$net_dir/tools/tab.py" "$source_dir/packaging/bash/cdss" \
        "${lines[@]}" >"$environment_dir/words" 2>&1
    for i in "${!names[@]}"; do
        sed -n "$from,/^END$/p" "$environment_dir/words" >"$environment_dir/word"
        from=$((from + $(wc -l <"$environment_dir/word")))
        [ "$(cat "$environment_dir/word")" = "${expected[i]}" ]
        verdict $? "${names[i]}"
        [ "$(cat "$environment_dir/word")" = "${expected[i]}" ] || sed 's/^/#   /' "$environment_dir/word"
    done
    names=() lines=() expected=()
}

quick() { # NAME LINE WORD...: within seconds, whatever the broker does
    local begun
    begun=$(milliseconds)
    complete_line "$@"
    expect_completed
    [ $(($(milliseconds) - begun)) -lt 15000 ]
    verdict $? "$1: that took $(($(milliseconds) - begun)) ms"
}

quick "without a broker there is no user" "share show al" share show 'al^'
start
for user in alice bob b@example.org; do
    expect_ok "a share of $user" cdss share create "$user" --image linux/debian.iso \
        --client "$(client4 $((${#user} % 3 + 1)))" --protocol http
done
complete_line "a group" "sha" share '^'
complete_line "a command" "share cr" share create '^'
complete_line "a command of one word" "doc" doctor '^'
complete_line "nothing that there is not" "share xy" share 'xy^'
complete_line "an option" "share create x --cl" share create x --client '^'
complete_line "options are those of the command" "share show x --cl" share show x "--cl^"
complete_line "a user" "share show al" share show alice '^'
complete_line "a user with an @" "share remove b@ex" share remove b@example.org '^'
complete_line "what users have in common" "share extend b" share extend 'b^'
complete_line "an image" "share add bob --image li" share add bob --image linux/debian.iso '^'
complete_line "an image behind a =" "share add bob --image=li" share add bob --image=linux/debian.iso '^'
complete_line "an image with blanks" "share add bob --image bo" \
    share add bob --image 'boot roms/ipxe.iso' '^'
complete_line "an image with blanks, begun in quotes" "share add bob --image 'boot r" \
    share add bob --image 'boot roms/ipxe.iso' '^'
complete_line "an image with blanks, begun with a backslash" 'share add bob --image boot\ ro' \
    share add bob --image 'boot roms/ipxe.iso' '^'
complete_line "an image that a shell would trip over" "share add bob --image od" \
    share add bob --image 'odd"$(name):1.iso' '^'
complete_line "the same behind its colon" 'share add bob --image odd\"\$\(name\):' \
    share add bob --image 'odd"$(name):1.iso' '^'
complete_line "a protocol" "share create x --protocol ft" share create x --protocol 'ftp^'
complete_line "another protocol" "share create x --protocol http,tf" \
    share create x --protocol 'http,tftp^'
complete_line "no protocol twice" "share create x --protocol http,ht" \
    share create x --protocol 'http,ht^'
complete_line "the same in quotes" 'share add bob --image "od' \
    share add bob --image 'odd"$(name):1.iso' '^'
complete_line "a file" "--config=${environment_dir}/cdss.co" "--config=$config" '^'
expect_completed
kill -STOP "$broker_pid"
quick "a broker that does not answer has no users" "share show al" share show 'al^'
kill -CONT "$broker_pid"

# Every command and option of the help is offered, and no other.
words() { # LINE: what _cdss offers
    server bash -c '. "$1"; COMP_LINE=$2 COMP_POINT=${#2}; _cdss; printf "%s\n" "${COMPREPLY[@]}"' \
        words "$source_dir/packaging/bash/cdss" "$1" | sort
}
"$build_dir/broker/cdss" --help | sed -n '/^commands/,/^$/s/^  //p' | sed 's/  .*//; s/ [[A-Z].*//' |
    while read -r first second; do
        diff <("$build_dir/broker/cdss" "$first" ${second:+"$second"} --help |
            grep -oE '^ +(-., )?--[a-z-]+' | sed 's/.*--/--/' | sort) \
            <(words "cdss $first ${second:+$second }--") || echo "$first $second"
        words "cdss ${second:+$first }${second:-$first}" | grep -qx "${second:-$first}" || echo "$first $second"
    done >"$environment_dir/differences"
sed 's/^/#   /' "$environment_dir/differences"
[ ! -s "$environment_dir/differences" ]
verdict $? "every command and option is offered"

# The manual of cdssd has the options of its help, and no other.
diff <("$build_dir/broker/cdssd" --help | grep -oE -- '--[a-z]+' | sort -u) \
    <(sed -n 's/^\.It Fl.*-\([a-z]*\).*/--\1/p' "$source_dir/docs/man/cdssd.8" | sort -u)
verdict $? "cdssd(8) has the options of cdssd"
finish
