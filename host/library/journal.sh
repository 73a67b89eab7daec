#!/bin/bash
# The journal of an operation: each step is written down before it is taken. What is not on the disk was not done.
# shellcheck shell=bash disable=SC2154

# The unit ends a little before the SSM step does, so that the watcher still tells what became of it.
reserve_seconds=$((timeout / 4 > 60 ? 60 : timeout / 4))
work_seconds=$((timeout - reserve_seconds))

record() {
  if [[ -n $(tail -c 1 "$journal/journal.jsonl" 2>/dev/null) ]]; then
    printf '\n' >>"$journal/journal.jsonl" # a power cut tore the last line: ours does not join it
  fi
  printf '%s\n' "$1" >>"$journal/journal.jsonl"
  sync "$journal/journal.jsonl"
}

# The whole lines of a file of JSON: a power cut may have torn one.
whole_lines() {
  if [[ -f $1 ]]; then
    jq -cR 'fromjson? | objects' "$1"
  fi
}

journal_lines() { whole_lines "$journal/journal.jsonl"; }

keep_fact() { record "$(jq -nc --arg fact "$1" --arg value "$2" --argjson at "$(now_ms)" '{$at, $fact, $value}')"; }

fact() { journal_lines | jq -rn --arg fact "$1" '[inputs | select(.fact == $fact) | .value] | last // ""'; }

has_fact() { [[ -n $(fact "$1") ]]; }

note() { printf '%s' "$*" >"$journal/note"; }

# Ends a step that cannot succeed: RESULT is what it comes to when nothing had to be put back.
end_step() {
  jq -nc --arg result "$1" --arg reason "$2" --arg sentence "$3" '{$result, $reason, $sentence}' >"$journal/failure"
  say "$2: $3"
  exit 1
}
refuse() { end_step refused "$@"; }
fail() { end_step failed "$@"; }

# Runs one step, journalled before it is taken. It runs in a subshell of its own, so that `set -e` holds in it:
# what later steps need, it keeps as facts. A failed step ends the operation by `give_up STEP`, or by `on_failure`.
step() {
  local name=$1 code
  shift
  rm -f "$journal/failure" "$journal/note"
  record "$(jq -nc --arg step "$name" --argjson at "$(now_ms)" '{$at, $step, event: "started"}')"
  say "step $name"
  set +e
  (
    set -e
    "$@"
  )
  code=$?
  set -e
  record "$(jq -nc --arg step "$name" --argjson at "$(now_ms)" --argjson ok "$((code == 0))" \
    --arg note "$(cat "$journal/note" 2>/dev/null)" '{$at, $step, event: "ended", ok: ($ok == 1), $note}')"
  if ((code != 0)); then
    [[ -s $journal/failure ]] || (end_step failed '' "Step $name ended with code $code.") || true
    "${on_failure:-give_up}" "$name"
  fi
}

current_step() { journal_lines | jq -rn '[inputs | select(.event == "started") | .step] | last // ""'; }

failure() { jq -r --arg key "$1" '.[$key] // ""' "$journal/failure"; }

# Milliseconds that are left of the operation's time.
time_left_ms() {
  local started
  started=$(fact started)
  printf '%s' "$((${started:-$(now_ms)} + work_seconds * 1000 - $(now_ms)))"
}

# Where an operation may stop without leaving anything to put back.
safe_point() {
  if [[ -e $journal/cancel ]]; then
    fail cancelled 'Cancelled on request, at a point where nothing had changed for users.'
  fi
  if (($(time_left_ms) <= 0)); then
    fail timed-out "The operation's time of $work_seconds s was over before the switch."
  fi
}

safely() {
  safe_point
  "$@"
}
