#!/usr/bin/env bash
# From `cdss share remove` to the reset that a client hears in the middle of a download.
# shellcheck source=lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
rounds=${BENCH_ROUNDS:-20}

begin
truncate -s 4G "${setting[repository.images]}/big.bin"
start
results=$environment_dir/cut
for ((i = 0; i < rounds; i++)); do
    cdss share create alice --image big.bin --client "$(client4 1)" --protocol http --for 10m \
        >/dev/null || { not_ok "a share"; finish; }
    client 1 "$tools/bench_cut" "/proc/${ns_pid[server]}/ns/net" "$server4" 8080 /big.bin \
        "${cdss_command[@]}" "$config" share remove alice >>"$results" || { not_ok "a cut"; finish; }
done
table "A download is cut, $rounds rounds"
row "from the start of cdss share remove to the reset" ms "$results" 1000
goal_is "in parts of 50 ms" "$(median <"$results")" 50000 most 1
finish
