#!/usr/bin/env bash
# Shares of a web front end: the share's own password, sessions and their tokens, and the release of
# an address while another client's download goes on.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
image_random a.bin 1000
image_random b.bin 1000
image_random big.bin 60000000
images=${setting[repository.images]}
web_uid=$(id -u www-data)
setting[broker.web_users]=www-data
setting[policy.claim]="10.77.3.0/24"
setting[policy.max_lifetime]=48h
setting[policy.max_per_requester]=2
environment_configure
start
web_start

me=$(client4 1)
password="correct horse"
expect_denied() { # NAME REQUEST FIELD=VALUE...
    expect_web "$1" REFUSED "${@:2}"
    [ "$(field REFUSED field)" = password ] && [ "$(field REFUSED sentence)" = "$denied" ]
    verdict $? "... with the same words"
}
denied="There is no such share, or its password or session is not valid."
create=(SHARE_CREATE images=a.bin protocols=http "clients=$me" seconds=3600 "requester=$me")

# -- creating, and the password --------------------------------------------------------------------

expect_web "a share needs a password" REFUSED "${create[@]}" user=alice
expect_web "a share of the web" "SHARE SESSION DONE" "${create[@]}" user=alice "password=$password" \
    clients=10.77.3.12
first=$(field SESSION token)
[ "${#first}" = 64 ] && [ "$(field SESSION user)" = alice ] && [ "$(field SESSION seconds)" -le 3600 ]
verdict $? "its answer has a token, until the share's end at the latest"
[ "$(field SHARE requester)" = "uid $web_uid for $me" ]
verdict $? "and says who asked"
client 1 curl -sSf -m 10 -o "$out/a" "http://$server4:8080/a.bin" 2>"$environment_dir/client.err"
expect_same "the requester has it" "$out/a" "$images/a.bin"
expect_web "without password and token" REFUSED SHARE_SHOW user=alice "requester=$me"
expect_web "without a requester" REFUSED SHARE_SHOW user=alice "password=$password"
expect_web "a requester that is none" REFUSED SHARE_SHOW user=alice "password=$password" requester=nobody
expect_web "shown to who knows the password" "SHARE DONE" SHARE_SHOW user=alice \
    "password=$password" "requester=$me"
right=$(field DONE milliseconds)
expect_denied "a wrong password" SHARE_SHOW user=alice password=wrong "requester=$me"
wrong=$(field REFUSED milliseconds)
expect_denied "a user without a share" SHARE_REMOVE user=carol "password=$password" "requester=$me"
nobody=$(field REFUSED milliseconds)
expect_denied "a wrong token" SHARE_EXTEND "token=${first/[0-8]/9}" seconds=60 "requester=$me"
token=$(field REFUSED milliseconds)
note "one check each: right $right ms, wrong $wrong ms, no share $nobody ms, wrong token $token ms"
expect_ok "an administrator needs no password" cdss share show alice
! grep -rqF "$password" "$environment_dir"/broker-*.log "${setting[broker.state]}" &&
    grep -qa 'y\$j' "${setting[broker.state]}"/registry.sqlite*
verdict $? "the password is nowhere, its hash in the registry"
! grep -rqF "$first" "$environment_dir"/broker-*.log "${setting[broker.state]}"
verdict $? "the token is nowhere"

# -- sessions --------------------------------------------------------------------------------------

expect_web "the token opens the share" "SHARE DONE" SHARE_SHOW "token=$first" "requester=$me"
expect_web "from another address, too" "SHARE DONE" SHARE_SHOW "token=$first" "requester=$(client4 3)"
expect_denied "not with another's name" SHARE_SHOW user=bob "token=$first" "requester=$me"
expect_web "a session more" "SESSION DONE" SESSION_BEGIN user=alice "password=$password" "requester=$me"
second=$(field SESSION token)
broker_kill
broker_start || not_ok "cdssd starts again"
expect_web "a token outlives the broker" "SHARE DONE" SHARE_SHOW "token=$second" "requester=$me"
expect_web "extended in a session" "SHARE DONE" SHARE_EXTEND "token=$second" seconds=7200 "requester=$me"
expect_web "which goes on" "SHARE DONE" SHARE_SHOW "token=$second" "requester=$me"
expect_denied "all others have ended" SHARE_SHOW "token=$first" "requester=$me"
expect_web "not beyond its creation + max_lifetime" REFUSED SHARE_EXTEND "token=$second" \
    seconds=172801 "requester=$me"
grep -q '2d (max_lifetime)' "$answer"
verdict $? "... and the sentence says so"
expect_web "an image is added in a session" "SHARE DONE" SHARE_ADD "token=$second" images=b.bin \
    "requester=$me"
client 1 curl -sSf -m 10 -o "$out/b" "http://$server4:8080/b.bin" 2>"$environment_dir/client.err"
expect_same "and is there" "$out/b" "$images/b.bin"
expect_web "it is refused, and nothing is changed" REFUSED SHARE_ADD "password=$password" user=alice \
    images=none.bin "requester=$me"
expect_web "a session survives what was refused" "SHARE DONE" SHARE_SHOW "token=$second" "requester=$me"
expect_ok "an administrator changes the share" cdss share extend alice --for 2h
expect_denied "which ends all sessions" SHARE_SHOW "token=$second" "requester=$me"
expect_web "come in again" "SESSION DONE" SESSION_BEGIN user=alice "password=$password" "requester=$me"
second=$(field SESSION token)
expect_web "changed with the password" "SHARE DONE" SHARE_EXTEND user=alice "password=$password" \
    seconds=7000 "requester=$me"
expect_denied "which ends all sessions, too" SHARE_SHOW "token=$second" "requester=$me"
expect_web "again" "SESSION DONE" SESSION_BEGIN user=alice "password=$password" "requester=$me"
second=$(field SESSION token)
expect_web "logged out" DONE SESSION_END "token=$second"
expect_web "once" DONE SESSION_END "token=$second"
[ "$(field DONE outcome)" = 3 ]
verdict $? "and then there is nothing to do"
expect_denied "its token is of no use" SHARE_SHOW "token=$second" "requester=$me"

# -- one address leaves ------------------------------------------------------------------------------

expect_web "a share for two" "SHARE SESSION DONE" SHARE_CREATE user=bob "password=$password" \
    images=big.bin images=a.bin protocols=http protocols=tftp "clients=$(client4 2)" clients=10.77.3.11 \
    "clients=$(client4 3)" seconds=600 "requester=$(client4 2)"
expect_web "an address is one share's" REFUSED SHARE_CREATE user=carol "password=$password" \
    images=a.bin protocols=http "clients=$(client4 3)" "requester=$(client4 3)"
grep -q 'in a share already; release it there first' "$answer"
verdict $? "... and its owner hears what he can do"
download_start "$out/mine" long_http 3 "http://$server4:8080/big.bin" "$out/mine"
verdict $? "a download of who will leave"
mine=$download
download_start "$out/other" long_http 2 "http://$server4:8080/big.bin" "$out/other"
verdict $? "a download of who stays"
other=$download
download=$mine
since=$(milliseconds)
expect_web "released" DONE CLIENT_RELEASE "requester=$(client4 3)"
expect_cut "its download is cut" "$since"
expect_probe "it gets in no more" "refused|silent" client3 "tcp,$server4,8080" "udp,$server4,69"
wait "$other"
expect_same "the other's download is whole" "$out/other" "$images/big.bin"
expect_web "released twice" DONE CLIENT_RELEASE "requester=$(client4 3)"
[ "$(field DONE outcome)" = 3 ]
verdict $? "there is nothing to do"
[ "$(share_field bob 'share["clients"]')" = "['$(client4 2)', '10.77.3.11']" ]
verdict $? "the share has the others"
broker_kill
broker_start || not_ok "cdssd starts again"
[ "$(share_field bob 'share["clients"]')" = "['$(client4 2)', '10.77.3.11']" ]
verdict $? "after a restart, too"
expect_probe "and it stays out" "refused|silent" client3 "tcp,$server4,8080"
expect_web "the address is free for another share" "SHARE SESSION DONE" SHARE_CREATE user=carol \
    "password=$password" images=a.bin protocols=http "clients=$(client4 3)" "requester=$(client4 3)"
expect_web "the last client leaves" DONE CLIENT_RELEASE "requester=$(client4 3)"
wait_for 10 share_is_gone carol
verdict $? "and the share with it"
expect_ok "a share of an administrator" cdss share create dora --image a.bin --client "$(client4 3)" \
    --protocol http --for 10m
expect_web "is not for users to release" DONE CLIENT_RELEASE "requester=$(client4 3)"
[ "$(field DONE outcome)" = 3 ] && [ "$(share_field dora 'share["clients"]')" = "['$(client4 3)']" ]
verdict $? "and keeps its client"

# -- guessing ----------------------------------------------------------------------------------------

for _ in {1..12}; do
    web SHARE_SHOW user=bob password=guess "requester=10.77.3.99"
    grep -q 'too many wrong passwords' "$answer" && break
done
grep -q 'too many wrong passwords; try again in [0-9]* s' "$answer"
verdict $? "who guesses is slowed down"
expect_web "others are not" "SHARE DONE" SHARE_SHOW user=bob "password=$password" \
    "requester=$(client4 2)"

# -- ending --------------------------------------------------------------------------------------------

expect_web "again" "SESSION DONE" SESSION_BEGIN user=bob "password=$password" "requester=$me"
token=$(field SESSION token)
expect_web "removed in a session" DONE SHARE_REMOVE "token=$token" "requester=$me"
expect_denied "which has ended with it" SHARE_SHOW "token=$token" "requester=$me"
expect_denied "and so has the password" SHARE_SHOW user=bob "password=$password" "requester=$(client4 2)"
finish
