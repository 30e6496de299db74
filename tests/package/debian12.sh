#!/usr/bin/env bash
# The package on Debian 12, from source to purge.
suite=bookworm
# shellcheck source=life.sh
. "$(dirname "$0")/life.sh"
