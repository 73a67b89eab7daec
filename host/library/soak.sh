#!/bin/bash
# For how long a release has been healthy, by the log that the host writes itself each minute (attack 29).
# shellcheck shell=bash disable=SC2154

# The latest span of a release without a gap, a restart or a failed check, and by what it ended. One that followed may have taken
# ten minutes to come up: then nothing was written.
# The `$` in single quotes are jq's.
# shellcheck disable=SC2016
spans='
  def opened: {from: .t, until: .t, invocation, restarts, ended: ""};
  reduce (inputs | select((.t | type) == "number")) as $line ({from: 0, until: 0, ended: "none"};
    ($line.t - .until) as $since
    | ($line.release == $release[0:12] and ($line.digest // $release) == $release) as $same
    | if .ended == "" then
        if $same | not then .ended = if $since >= 0 and $since <= 600 then "replaced" else "gap" end
        elif $line.ok != true then .ended = "check"
        elif $since < 0 or $since > $beat * 1.5 or [.invocation, .restarts] != [$line.invocation, $line.restarts] then $line | opened
        else .until = $line.t end
      elif $same then
        if $line.ok == true then $line | opened else .ended = "check" end
      else . end)
  | ($now - .until) as $since
  | if .ended != "" then .
    elif $live != $release then .ended = if $since <= 600 then "replaced" else "gap" end
    elif $since < 0 or $since > $beat * 2 then .ended = "gap"
    elif .invocation != $invocation or .restarts != $restarts then .ended = "restart"
    elif $healthy then .ended = "live"
    else .ended = "check" end
  | {release: $release, from, until, seconds: (.until - .from), minutes: ((.until - .from) / 60 | floor), ended}'

# The files of the log are read by awk, for what a power cut tore has no end of its own.
latest_span() { # FOLDER RELEASE LIVE-RELEASE HEALTHY INVOCATION RESTARTS BEAT NOW
  { awk 1 "$1"/*.jsonl 2>/dev/null || true; } | jq -cR 'fromjson? | objects' |
    jq -nc --arg release "$2" --arg live "$3" --argjson healthy "$4" --arg invocation "$5" --argjson restarts "$6" \
      --argjson beat "$7" --argjson now "$8" "$spans"
}

soak_of() { # RELEASE LIVE-RELEASE HEALTHY
  local invocation restarts
  {
    read -r invocation
    read -r restarts
  } < <(unit_states "$app@${2:0:12}.service" InvocationID NRestarts)
  latest_span "$state/checks" "$@" "$invocation" "${restarts:-0}" "$(beat_seconds)" "$(date +%s)"
}
