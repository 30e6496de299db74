#!/usr/bin/env bash
# What the firewall writes down (NFLOG records by category, read back from the kernel), and how many
# connections one share may have.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
image_random small.bin 1000
setting[network.nflog]=77
setting[network.max_flows]=30
environment_configure
start
expect_ok "alice shares" cdss share create alice --image small.bin --client "$(client4 1)" \
    --client "$(client6 1)" --protocol http,ftp,tftp --for 10m
expect_ok "bob shares" cdss share create bob --image small.bin --client "$(client4 2)" \
    --protocol http --for 10m
alice=$(share_field alice 'share["id"]')

records=$environment_dir/records
record_start() { # GROUP
    server_exec python3 "$net_dir/tools/nflog.py" "$1" >"$records" 2>&1 &
    background+=("$!")
    wait_for 10 grep -qx ready "$records"
}
expect_record() { # NAME EXTENDED-REGEX
    if wait_for 5 grep -qxE -e "$2" "$records"; then ok "$1"; return; fi
    sort "$records" | uniq -c | head -n 20 | sed 's/^/#   /'
    not_ok "$1"
}
record_start 77 || not_ok "the kernel has NFLOG"

# -- records ---------------------------------------------------------------------------------------

small=${setting[repository.images]}/small.bin
get_http 1 "http://$server4:8080/small.bin" "$out/a"
expect_same "HTTP" "$out/a" "$small"
expect_record "a connection is recorded with its share and protocol" \
    "cdss-share $alice http $(client4 1) $server4 tcp 8080"
get_ftp 1 epsv "ftp://[$server6]/small.bin" "$out/a"
expect_same "FTP" "$out/a" "$small"
expect_record "over IPv6, too" "cdss-share $alice ftp $(client6 1) $server6 tcp 21"
get_tftp 1 curl "$server4" small.bin "$out/a"
expect_same "TFTP" "$out/a" "$small"
expect_record "and datagrams" "cdss-share $alice tftp $(client4 1) $server4 udp 69"

port=$(instance_ports "$server4" | grep -m1 ^tcp)
expect_probe "a stranger on an instance port" refused client3 "$port"
expect_record "is recorded" "cdss-deny $(client4 3) $server4 tcp ${port##*,}"
server timeout 10 python3 "$net_dir/tools/talk.py" --uid "$uid_first" "tcp,$(client4 3),9" >/dev/null 2>&1
expect_record "what a server sends where it must not is recorded" \
    "cdss-server $server4 $(client4 3) tcp 9"
for n in server client1; do
    for file in all eth0; do in_ns $n sysctl -qw "net.ipv4.conf.$file.accept_source_route=1"; done
done
client 1 timeout 10 python3 "$net_dir/tools/talk.py" --via $server4b "tcp,$server4,8080" >/dev/null 2>&1
expect_record "source routing is recorded" "cdss-source-route $(client4 1) $server4 tcp [0-9]+"

# A flood of connections is no flood of records: ten a second, and five at once.
client 3 timeout 20 python3 "$net_dir/tools/connect.py" "$server4" "${port##*,}" 500 \
    </dev/null >"$environment_dir/flood"
[ "$(cat "$environment_dir/flood")" = "0 500" ]
verdict $? "500 attempts of a stranger are refused ($(cat "$environment_dir/flood"))"
count=$(grep -c "^cdss-deny $(client4 3)" "$records")
[ "$count" -ge 5 ] && [ "$count" -lt 300 ]
verdict $? "and leave fewer records ($count)"

# -- the limit of connections ----------------------------------------------------------------------

mkfifo "$environment_dir/in"
client_exec 1 python3 "$net_dir/tools/connect.py" "$server4" 8080 40 \
    <"$environment_dir/in" >"$environment_dir/held" &
background+=("$!")
exec {to}>"$environment_dir/in"
held_says() { [ "$(tail -n 1 "$environment_dir/held")" = "$1" ]; }
wait_for 20 test -s "$environment_dir/held"
read -r accepted refused <"$environment_dir/held"
# The share's other flows count, those of a moment ago among them.
[ "$accepted" -ge 15 ] && [ "$accepted" -le 30 ] && [ "$((accepted + refused))" = 40 ]
verdict $? "of 40 connections at once a share gets no more than 30 ($accepted)"
expect_record "what is too much is recorded" "cdss-limit $(client4 1) $server4 tcp [0-9]+"
echo again >&"$to"
wait_for 10 held_says refused
verdict $? "one more is refused"
get_http 1 "http://[$server6]:8080/small.bin" "$out/a"
[ ! -s "$out/a" ]
verdict $? "over IPv6, too: it is one share"
get_http 2 "http://$server4:8080/small.bin" "$out/a"
expect_same "another share is not concerned" "$out/a" "$small"
echo close >&"$to"
wait_for 10 held_says closed
fetched() { get_http 1 "http://$server4:8080/small.bin" "$out/a"; }
wait_for 15 fetched
expect_same "when they are closed, there is room again" "$out/a" "$small"
exec {to}>&-
expect_ok "alice's share ends" cdss share remove alice
no_flows() { ! server nft list set inet cdss flows | grep -q "$(printf '0x%02x000001' "$mark_prefix")"; }
wait_for 10 no_flows
verdict $? "and the kernel forgets her count"
cdss share remove bob >/dev/null

# -- none ------------------------------------------------------------------------------------------

broker_stop
setting[network.nflog]=0
setting[network.max_flows]=0
setting[broker.log_format]=json
environment_configure
start
! server nft -s list table inet cdss | grep -qE 'log prefix|ct count|set flows'
verdict $? "both can be switched off"

# -- log lines -------------------------------------------------------------------------------------

expect_ok "a share" cdss share create carol --image small.bin --client "$(client4 3)" --protocol http \
    --for 10m
carol=$(share_field carol 'share["id"]')
odd=$(printf '\303\251\377 "\\')
expect_refused "an image with an odd name" "not in the repository" cdss share create dave \
    --image "$odd" --client "$(client4 1)" --protocol http --for 10m
cdss share extend carol --for 20m >/dev/null
cdss share remove carol >/dev/null
ended() { grep -q '"share.ended","share":"carol"' "$broker_log"; }
wait_for 5 ended
python3 - "$broker_log" "$carol" <<'PYTHON'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
carols = [line for line in lines if line.get("share") == "carol"]
assert [line["event"] for line in carols] == ["share.active", "share.extended", "share.ended"], carols
assert all(line["id"] == sys.argv[2] and line["requester"] == "root" for line in carols), carols
assert carols[-1]["message"] == "removed by root"
assert any(line["event"] == "share.failed" and line["share"] == "dave" for line in lines)
PYTHON
verdict $? "as JSON, a line for each event, with the share's id and who asked for it"
finish
