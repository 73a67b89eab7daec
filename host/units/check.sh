#!/bin/bash
# check APP: asks the live release every check on the public port, as its users do, and writes down what came of it: a line
# of root's own each minute, by which `probe` tells for how long a release has been healthy (attack 29).
# shellcheck shell=bash disable=SC2034,SC2154
set -euo pipefail
app=$1
operation=check
excerpts=off

# include library/base.sh
# include library/result.sh
# include library/release.sh
# include library/health.sh

# A fault while an operation is at work may be that one's doing, which holds the port: then nothing is known.
write_down() {
  local problem invocation restarts
  {
    read -r invocation
    read -r restarts
  } < <(unit_states "$app@$1.service" InvocationID NRestarts)
  problem=$(public_problem "$1")
  [[ -z $problem || -z $(running_operation) ]] || return 0
  [[ $(live_release) == "$1" ]] || return 0
  install -d -m 0700 "$state/checks"
  append_line "$state/checks/$(date -u +%F).jsonl" "$(jq -nc --arg release "$1" --arg invocation "$invocation" --argjson restarts "${restarts:-0}" \
    --arg digest "$(jq -r .release "$state/releases/$1.json")" --arg problem "$problem" \
    '{t: (now | floor), $release, $digest, $invocation, $restarts, ok: ($problem == ""), $problem}')"
}

live=$(live_release)
if [[ -n $live ]]; then write_down "$live"; fi
find "$state/checks" -name '*.jsonl' -mtime +31 -delete 2>/dev/null || true # there may be none yet
