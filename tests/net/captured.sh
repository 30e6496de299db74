#!/usr/bin/env bash
# Servers that have been taken over by their first client: tests/net/hostile stands in place of
# lighttpd, vsftpd and atftpd, in two shares at once, and tries all that it can think of. Nothing of
# it may work, and a third share goes on meanwhile.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
image_random mine/mine.bin 1000
image_random yours/yours.bin 1000
image_random honest/honest.bin 10000000

# -- programs in place of the real ones --------------------------------------------------------------

libexec_dir=$environment_dir/libexec
mkdir "$libexec_dir"
find "$build_dir/servers" -maxdepth 1 -name "cdss-*" -type f -exec cp {} "$libexec_dir" \;
cp "$build_dir/tests/net/hostile/hostile" "$libexec_dir"
templates=$environment_dir/templates
setting[broker.templates]=$templates
cp -a "$source_dir/templates" "$templates"
cp -a "$templates/http" "$templates/honest"
mv "$templates/honest/lighttpd.conf" "$templates/honest/honest.conf"
sed -i 's/^name=.*/name=honest/; s/^public=.*/public=tcp\/8081/; s/lighttpd.conf/honest.conf/' \
    "$templates/honest/server.conf"
sed -i '/^check=/d' "$templates/http/server.conf"
sed -i 's/^config=.*/config=vsftpd.conf mark.conf/' "$templates/ftp/server.conf"
echo "of root's server" >"$templates/ftp/mark.conf"
for kind in http:listen ftp:connection tftp:datagram; do
    sed -i "s|^program=.*|program={{programs}}/hostile ${kind#*:}|" \
        "$templates/${kind%:*}/server.conf"
done
setting[policy.protocols]="http ftp tftp honest"
environment_configure

# -- what they would like to reach -------------------------------------------------------------------

echo "the host's own" >"$environment_dir/secret"
server_exec python3 "$net_dir/tools/victims.py" >"$environment_dir/victims" 2>&1 &
background+=("$!")
client_exec 3 python3 -m http.server 7000 --bind 0.0.0.0 >/dev/null 2>&1 &
background+=("$!")
wait_for 5 grep -qs ready "$environment_dir/victims"
start

create() { # USER CLIENT IMAGE PROTOCOLS [FOR]
    cdss share create "$1" --image "$3" --client "$(client4 "$2")" --protocol "$4" --for "${5:-10m}"
}
share_alice() { create alice 1 mine/mine.bin http,ftp,tftp,honest "${1:-10m}"; }
expect_ok "alice shares, with servers that are not hers any more" share_alice
expect_ok "bob does, too" create bob 2 yours/yours.bin http,ftp,tftp
expect_ok "and carol, whose server is as it should be" create carol 3 honest/honest.bin honest

# AddressSanitizer cannot start without /proc: sandboxes of such a build have one.
has_proc=0
[ "$sanitized" = no ] || has_proc=1
ports=$(instance_ports x | cut -d, -f3 | sort -un | tr '\n' ,)
tcp=
for address in 127.0.0.1 "$server4" "::ffff:$server4" ::1 "$server6"; do
    for port in 5432 ${ports//,/ }; do tcp+="$address|$port,"; done
done
tcp+="$(client4 3)|7000,$(client6 3)|7000,$server4|8080,$server4|8081,$server4|21"
udp="127.0.0.1|5353,$server4|5353,$server6|5353,::1|5353,::ffff:$server4|5353,$(client4 3)|7000"
udp+=",$server4|69,$(client4 2)|69,224.0.0.1|5353,255.255.255.255|67"
values="secrets=$environment_dir/secret,/etc/shadow,$environment_dir/state/registry.sqlite
    abstract=cdss-victim paths=${setting[broker.socket]},/run/dbus/system_bus_socket
    tcp=$tcp udp=$udp fast=127.0.0.1|5432,$server4|5432 foreign=$broker_pid
    ports=22,69,111,1024,8080,20999,21000,25000,29999,32000,40000,$ports
    spoof=$(client4 3)|0,203.0.113.7|0,$(client6 3)|0 sockets=192 proc=$has_proc"

# -- asking --------------------------------------------------------------------------------------------

declare -A call=([http]="tcp 8080" [ftp]="tcp 21" [tftp]="udp 69")
declare -A image=([1]=mine/mine.bin [2]=yours/yours.bin)
ask() { # CLIENT SERVER GROUP [VALUE...]: the answer is in $environment_dir/answer.CLIENT
    local n=$1 kind port
    read -r kind port <<<"${call[$2]}"
    client "$n" timeout 40 python3 "$net_dir/tools/ask.py" "$kind" "$server4" "$port" \
        "$3 $(tr -s ' \n' ' ' <<<"$values image=${image[$n]} names=${image[$n]%/*}") ${*:4}" \
        >"$environment_dir/answer.$n" 2>&1
}
ask_turned() { ask 1 "$1" turned && grep -q '^held\|^BROKE' "$environment_dir/answer.1"; }
answer_held() { # NAME CLIENT
    local file=$environment_dir/answer.$2 held
    held=$(grep -c '^held' "$file")
    [ "$held" -gt 0 ] && ! grep -q '^BROKE' "$file" && [ "$(tail -n 1 "$file")" = end ]
    verdict $? "$1 ($held attempts)"
    grep -v '^held\|^end$\|^listening$' "$file" | sort | uniq -c | head -n 12 | cut -c1-200 |
        sed 's/^/#   /'
}
# Both shares' servers at the same time.
expect_held() { # SERVER GROUP [VALUE...]
    local other
    ask 2 "$@" &
    other=$!
    ask 1 "$@"
    wait "$other"
    answer_held "alice's captured $1 server: ${*:2}" 1
    answer_held "bob's captured $1 server: ${*:2}" 2
}
users="0 1000" kinds="anonymous memfd shm messages semaphores pipes flight epoll"
[ "$sanitized" = no ] || { users=0 kinds=anonymous; } # that is the kernel's work, and takes long
for server in http ftp tftp; do
    for user in $users; do
        for group in kernel processes files; do expect_held "$server" "$group" "as=$user"; done
    done
    expect_held "$server" sockets
done
# Where the kernel cannot, the doctor and the log say so.
fenced=1
grep -q ' broker\.fence\b' "$broker_log" && fenced=0
if [ "$fenced" = 1 ]; then
    for server in ftp tftp; do expect_held "$server" ports; done
else
    skip "ports and strangers" "the kernel does not fence in the sockets of shares here"
fi

# -- strangers, while it listens on a passive port -------------------------------------------------

# The host answers every connection with a SYN cookie, as in a flood. The other captured server, a
# client of that share and a stranger call.
listens() { grep -qs listening "$environment_dir/answer.2"; }
call_in() { # NAMESPACE PORT: datagrams and connections; fails when one of these is made
    in_ns "$1" timeout 10 python3 -c '
import socket, sys
made = 0
for address in sys.argv[2:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (address, int(sys.argv[1])))
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(0.7)
        try:
            sock.connect((address, int(sys.argv[1])))
            made += 1
        except OSError:
            pass
sys.exit(made)' "$2" "$server4" "$server6" 2>&1
}
strangers_call() {
    server sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies'
    for server in ftp tftp; do
        rm -f "$environment_dir/answer.2"
        ask 2 "$server" hear port=30500 ms=3000 &
        asking=$!
        wait_for 5 listens
        verdict $? "bob's captured $server server listens on a passive port"
        call_in client3 30500 & calling=("$!")
        call_in client2 30500 & calling+=("$!")
        call_in server 30500 & calling+=("$!")
        ask 1 ftp sockets "tcp=$server4|30500,$server6|30500 udp=$server4|30500,$server6|30500"
        answer_held "alice's captured server does not get through to it" 1
        bad=0
        for pid in "${calling[@]}"; do wait "$pid" || bad=1; done
        verdict "$bad" "nor do a stranger, its client and the host"
        wait "$asking"
        answer_held "it has heard nobody" 2
    done
    server sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_syncookies'
}
[ "$fenced" = 0 ] || strangers_call

# -- a connection that is made into something else ---------------------------------------------------

turn_connections() {
    for server in http ftp; do
        for port in 25000 30500; do
            ask 1 "$server" turn "port=$port tcp=$server4|5432"
            wait_for 3 ask_turned "$server"
            answer_held "alice's captured $server server turns its connection round, to $port" 1
        done
    done
}
[ "$fenced" = 0 ] || turn_connections

[ "$(cat "$environment_dir/victims")" = ready ]
verdict $? "nothing of all this came to anybody on the host"
sed -n '2,5s/^/#   /p' "$environment_dir/victims"

honest() { # NAME
    get_http 3 "http://$server4:8081/honest/honest.bin" "$out/honest"
    expect_same "$1" "$out/honest" "$images/honest/honest.bin"
}
honest "carol's share goes on"

hold_processes() { # of a share: all that it has, but for the supervisors
    local pid
    for pid in $(share_processes); do
        grep -qs '/hostile' "/proc/$pid/cmdline" && echo "$pid"
    done
}

# -- what they can use up ------------------------------------------------------------------------------

bounded=1
grep -q ' broker\.cgroups\b' "$broker_log" && bounded=0
for server in http ftp tftp; do expect_held "$server" bounds "groups=$bounded"; done
again() { # a share of alice's that is as new
    cdss share remove alice >/dev/null 2>&1
    share_alice >/dev/null
}
expect_bounded() { # KIND: it got an error, or was killed
    ask 1 ftp fill "kind=$1"
    grep -q '^held' "$environment_dir/answer.1" && ! grep -q '^BROKE' "$environment_dir/answer.1"
    verdict $? "memory by $1 is bounded: $(sed -n '2s/held filled[^:]*: //p' "$environment_dir/answer.1")"
    grep '^BROKE' "$environment_dir/answer.1" | sed 's/^/#   /'
}
if [ "$bounded" = 1 ]; then
    for kind in $kinds; do
        expect_bounded "$kind"
        again
    done
    honest "carol's share has not noticed"
else
    skip "memory is bounded" "no control group bounds anything here"
fi
began=$(milliseconds)
honest "without a rival"
alone=$(($(milliseconds) - began))
ask 1 ftp spin "count=60 seconds=12"
ask 2 http spin "count=60 seconds=12"
weighs_by_share() { # all that spins is in a group of its share that has a weight
    local pid line ids n=0
    ids=" $(share_field alice 'share["id"]') $(share_field bob 'share["id"]') "
    for pid in $(hold_processes); do
        line=$(grep -E '^[0-9]+:([a-z,]+,)?cpu(,[a-z,]+)?:' "/proc/$pid/cgroup" ||
            grep '^0::' "/proc/$pid/cgroup") 2>/dev/null || continue # it has ended
        [[ $ids == *" ${line##*/} "* ]] || return 1
        n=$((n + 1))
    done
    [ "$n" -ge 100 ]
}
if grep -qsw cpu /sys/fs/cgroup/cgroup.controllers || grep -qsE '^[0-9]+:([a-z]+,)*cpu[,:]' /proc/self/cgroup
then
    weighs_by_share
    verdict $? "what spins is weighed by share, not by process"
else
    skip "what spins is weighed by share" "no control group for processors here"
fi
began=$(milliseconds)
honest "while two captured servers take all the processors"
note "10 MB beside 120 processes that spin: $(($(milliseconds) - began)) ms, without: $alone ms"

# -- ends ------------------------------------------------------------------------------------------------

again
for server in http ftp tftp; do ask 1 "$server" hold; done
expect_ok "alice's share is removed, with processes in it that ignore everything" \
    cdss share remove alice
expect_ok "and bob's" cdss share remove bob
[ -z "$(hold_processes)" ]
verdict $? "none of them is left"
alone() { [ "$(shared_users | tr '\n' ' ')" = "carol " ]; }
for server in http ftp tftp; do # as root it may end its own share, as the user not even that
    share_alice >/dev/null
    ask 1 "$server" kill as=1000
    ask 1 http kernel && grep -q ^held "$environment_dir/answer.1"
    verdict $? "a captured $server server kills all that it can: its own processes"
    ask 1 "$server" kill
    wait_for 3 alone
    verdict $? "and, as the sandbox's root, its own share"
    cdss share remove alice >/dev/null 2>&1
done
share_alice 5s >/dev/null
for server in ftp tftp; do ask 1 "$server" hold; done
ask 1 ftp stop
broker_kill
no_processes() { [ -z "$(hold_processes)" ]; }
wait_for 10 no_processes
verdict $? "with cdssd dead, and all its processes stopped, it ends when its time is over"
honest "carol's share goes on through all this"
broker_start
share_is_gone alice
verdict $? "the next cdssd clears it away"
finish
