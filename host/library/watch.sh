#!/bin/bash
# The watcher: starts the unit that does the work, and waits for what it says.
# shellcheck shell=bash disable=SC2154

# Starts the operation's unit and waits. The unit does the work; killing the watcher kills only the watcher.
# Further arguments are properties of the unit.
watch() {
  local line
  install -d -m 0700 "$state/operations" "$journal"
  if [[ -f $journal/line ]] && ! is_running "$unit"; then
    line=$(<"$journal/line")
    case $(jq -r .result <<<"$line") in
    done | unchanged) tell_and_exit "$line" ;; # never runs twice
    *) set_attempt_aside ;;
    esac
  fi
  if [[ ! -f $journal/journal.jsonl ]] && ! is_running "$unit"; then
    start_unit "$@"
  fi
  wait_for_line
}

set_attempt_aside() {
  local aside
  aside=$journal/attempt-$(now_ms)
  install -d -m 0700 "$aside"
  find "$journal" -maxdepth 1 -type f ! -name cancel -exec mv -t "$aside" {} +
}

start_unit() {
  local property properties=()
  for property in "$@"; do properties+=(--property="$property"); done
  cp "$0" "$journal/script.$$" # two watchers at once: each has its own
  sync "$journal/script.$$"
  mv -f "$journal/script.$$" "$journal/script"
  systemctl reset-failed "$unit" 2>/dev/null || true
  # The second finds the unit there, and waits for it as the first does.
  systemd-run --quiet --unit="$unit" --description="Understudy: $action $app" --collect \
    --property=KillMode=control-group --property=RuntimeMaxSec="$((work_seconds + reserve_seconds / 2))" --property=TimeoutStopSec=10 \
    --property=Nice=5 --property=StandardOutput=append:"$journal/log" --property=StandardError=append:"$journal/log" \
    "${properties[@]}" /bin/bash "$journal/script" work </dev/null >&2 || is_running "$unit"
}

wait_for_line() {
  local looks=0 idle=0
  while [[ ! -f $journal/line ]]; do
    sleep 0.1
    ((++looks % 10 == 0)) || continue
    if is_running "$unit" || is_running "understudy-recover@$app.service"; then
      idle=0
    elif ((++idle > 30)); then # 30 s with nobody at work
      tell_only unknown no-result \
        "Operation $operation ended without a result; send $app-probe with about=$operation to see the host's state."
    fi
  done
  tell_and_exit "$(<"$journal/line")"
}

# The ways in to an operation that recovery looks after: by the agent, by the unit that does the work, by recovery.
begin_operation() {
  case ${1:-watch} in
  watch)
    if [[ ! -f $settings ]]; then
      tell_only refused not-prepared "This host was never prepared for $app: an operator sends the document $app-prepare-host."
    fi
    watch OnFailure="understudy-recover@$app.service"
    ;;
  work) work ;;
  recover) recover "${2:-now}" ;;
  esac
}
