#!/usr/bin/env bash
# The end comes by itself: with cdssd, and with cdssd killed, by the kernel and the supervisor.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
truncate -s 1900M "${setting[repository.images]}/huge.img"
image_random boot.bin 500000
start
lifetime=5
[ "$sanitized" = no ] || lifetime=7

# Makes the share; afterwards its end is between $earliest and $latest (ms).
share() {
    earliest=$(milliseconds)
    expect_ok "a share of $lifetime s" cdss share create alice --image huge.img --image boot.bin \
        --client "$(client4 1)" --client "$(client6 1)" --protocol http,ftp,tftp \
        --for ${lifetime}s
    latest=$(($(milliseconds) + lifetime * 1000))
    earliest=$((earliest + lifetime * 1000))
}

downloads_start() {
    local i=0
    pids=() files=()
    for kind in http:4 http:6 ftp:4 ftp:6 tftp:4; do
        files+=("$out/$kind")
        i=server${kind#*:}
        i=$(url_host "${!i}")
        [[ $kind != http* ]] || i=$i:8080
        download_start "$out/$kind" "long_${kind%:*}" 1 "${kind%:*}://$i/huge.img" "$out/$kind"
        pids+=("$download")
    done
    for i in "${!pids[@]}"; do is_gone "${pids[i]}" && break; done
    ! is_gone "${pids[i]}" && [ "$(milliseconds)" -lt "$earliest" ]
    verdict $? "five downloads are under way before the end"
}

# Each grows until shortly before the end (curl keeps its rate by pausing), and not after it.
downloads_end() {
    local i before after
    while [ "$(milliseconds)" -lt $((earliest - 1300)) ]; do sleep 0.05; done
    for i in "${!files[@]}"; do before[i]=$(stat -c %s "${files[i]}"); done
    while [ "$(milliseconds)" -lt $((earliest - 100)) ]; do sleep 0.05; done
    for i in "${!files[@]}"; do
        [ "$(stat -c %s "${files[i]}")" -gt "${before[i]}" ]
        verdict $? "${files[i]##*/} runs up to the end"
    done
    while [ "$(milliseconds)" -lt $((latest + soon)) ]; do sleep 0.05; done
    for i in "${!files[@]}"; do after[i]=$(stat -c %s "${files[i]}"); done
    sleep 0.6
    for i in "${!files[@]}"; do
        [ "$(stat -c %s "${files[i]}")" = "${after[i]}" ]
        verdict $? "${files[i]##*/} is cut within $soon ms"
        case ${files[i]##*/} in tftp*) continue ;; esac
        is_gone "${pids[i]}"
        verdict $? "the client of ${files[i]##*/} has been told"
    done
    for i in "${!pids[@]}"; do
        kill -KILL "${pids[i]}" 2>/dev/null
        wait "${pids[i]}" 2>/dev/null
    done
    rm -f "${files[@]}"
}

share
downloads_start
downloads_end
expect_refused "show says that it has ended" "ended|no share" cdss share show alice
residue_check "nothing is left after an expiry"

share
downloads_start
broker_kill
downloads_end
expect_probe "without cdssd: refused after the end" "refused|silent" client1 \
    "tcp,$server4,8080" "tcp,$server6,8080" "tcp,$server4,21" "udp,$server4,69"
no_processes() { [ -z "$(share_processes)" ]; }
wait_for 3 no_processes
verdict $? "no process of the share is left, without cdssd"
no_loops() { [ -z "$(loop_devices)" ]; }
wait_for 3 no_loops
verdict $? "no loop device is left, without cdssd"
expect_refused "reap without cdssd says so" "not running" cdss reap
start
residue_check "the next cdssd tidies up"
share
get_http 1 "http://$server4:8080/boot.bin" "$out/a"
expect_same "and serves again" "$out/a" "${setting[repository.images]}/boot.bin"
finish
