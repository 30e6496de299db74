#!/usr/bin/env bash
# remove.sh with the clients behind a bridge of the server's own, whose frames go through the
# firewall as packets (bridge-nf-call-iptables=1), as docker sets it up.
exec "$(dirname "$0")/remove.sh" inside
