#!/usr/bin/env bash
# What a new connection costs when thousands have shares: through the table with one user and with
# 5,000, through a chain of 5,000 jumps as firewalls had them, and through no rules at all. Each in a
# network namespace of its own, in turns.
# shellcheck source=lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
users=5000 rounds=${BENCH_ROUNDS:-15} connections=400

begin
results=$environment_dir/results
mkdir "$results"
client=$(client4 1)
ns_make plain && net_plug switch port9 plain 10.77.9.10/16 || { not_ok "a network"; exit 1; }

serve() { # NAMESPACE USERS: in the background, until the end of this script
    mkfifo "$environment_dir/$1.in"
    (server_exec_in "$1" "$tools/bench_rules" "$2" "$client") <"$environment_dir/$1.in" \
        >"$environment_dir/$1.out" 2>&1 &
    serving+=("$!")
    exec {hold}>"$environment_dir/$1.in"
    holds+=("$hold")
    wait_for 60 grep -q ready "$environment_dir/$1.out" || { cat "$environment_dir/$1.out"; exit 1; }
}
server_exec_in() { exec nsenter --net="/proc/${ns_pid[$1]}/ns/net" -- "${@:2}"; }

# A chain of its own for each, and one jump after the other: that of our client is the last.
jumps() {
    local i address
    echo 'table ip old {'
    for ((i = 1; i <= users; i++)); do
        address=10.100.$((i >> 8)).$((i & 255))
        [ "$i" -lt "$users" ] || address=$client
        echo "chain s_$i { ip saddr $address tcp dport 8080 redirect to :8080; }"
    done
    echo 'chain pre { type nat hook prerouting priority dstnat; policy accept;'
    for ((i = 1; i <= users; i++)); do echo "jump s_$i"; done
    printf '}\n}\n'
}

serving=() holds=()
serve server 1
serve client2 $users
serve client3 0
serve plain 0
jumps | in_ns client3 nft -f - || { not_ok "the jumps"; exit 1; }

declare -A where=([one]=$server4 [many]=$(client4 2) [jumps]=$(client4 3) [none]=10.77.9.10)
for ((i = 0; i < rounds; i++)); do
    for kind in none one many jumps; do
        client 1 "$tools/bench_connect" "${where[$kind]}" 8080 $connections >>"$results/$kind" || exit 1
    done
done

table "A new connection, $rounds rounds of $connections in turns"
row "no rules at all" us "$results/none" 1000
row "one user in the table" us "$results/one" 1000
row "$users users in the table" us "$results/many" 1000
row "a chain of $users jumps" us "$results/jumps" 1000
goal "$users users against one" "$results/many" "$results/one" most 1.05
goal "the chain of jumps against $users users" "$results/jumps" "$results/many" least 1
for hold in "${holds[@]}"; do exec {hold}>&-; done
wait "${serving[@]}"
in_ns client3 nft delete table ip old
finish
