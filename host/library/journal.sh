#!/bin/bash
# The journal of an operation: each step is written down before it is taken. What is not on the disk was not done.
# shellcheck shell=bash disable=SC2154

# The unit ends a little before the SSM step does, so that the watcher still tells what became of it.
reserve_seconds=$((timeout / 4 > 60 ? 60 : timeout / 4))
work_seconds=$((timeout - reserve_seconds))

# Room that is given back when the disk is full: for the journal, the verdict, and whoever puts things back.
lay_ballast() {
  rm -f "$journal/full"
  fallocate --length 4MiB "$journal/ballast" || head --bytes 4M /dev/zero >"$journal/ballast"
}

drop_ballast() { rm -f "$journal/ballast"; }

record() {
  write_record "$1" 2>/dev/null || {
    drop_ballast
    : >"$journal/full"
    write_record "$1"
  }
}

write_record() { append_line "$journal/journal.jsonl" "$1" && sync "$journal/journal.jsonl"; }

# The whole lines of a file of JSON: a power cut may have torn one.
whole_lines() {
  if [[ -f $1 ]]; then
    jq -cR 'fromjson? | objects' "$1"
  fi
}

journal_lines() { whole_lines "$journal/journal.jsonl"; }

# A text as JSON. Nearly all of ours are plain, and need no program.
# The `$` in single quotes is jq's.
# shellcheck disable=SC2016
as_json() {
  if [[ $1 =~ ^[A-Za-z0-9\ .,:/@-]*$ ]]; then printf '"%s"' "$1"; else jq -nc --arg text "$1" '$text'; fi
}

keep_fact() { record "{\"at\":$(now_ms),\"fact\":\"$1\",\"value\":$(as_json "$2")}"; }

# The last value of a fact. Read by bash, as it is written: a deploy asks a hundred times.
fact() {
  local line='' last=''
  [[ -f $journal/journal.jsonl ]] || return 0
  while IFS= read -r line; do
    [[ $line != *',"fact":"'"$1"'","value":"'*'"}' ]] || last=$line
  done <"$journal/journal.jsonl"
  last=${last#*'"value":"'}
  last=${last%'"}'}
  if [[ $last == *\\* ]]; then jq -r . <<<"\"$last\""; else printf '%s\n' "$last"; fi
}

has_fact() { [[ -n $(fact "$1") ]]; }

note() { printf '%s' "$*" >"$journal/note"; }

# Ends a step that cannot succeed: RESULT is what it comes to when nothing had to be put back.
end_step() {
  # What a hook was ended for is the cause of what follows.
  [[ ! -s $journal/failure ]] || exit 1
  local sentence=$3 place
  place=$(read_only_place)
  if is_full; then sentence+=' The disk of the host is full.'; fi
  if [[ -n $place && $sentence != *read-only* ]]; then sentence+=" $place cannot be written: its volume is read-only."; fi
  jq -nc --arg result "$1" --arg reason "$2" --arg sentence "$sentence" '{$result, $reason, $sentence}' >"$journal/failure"
  say "$2: $sentence"
  exit 1
}

# Where a hook says no more than that it failed.
is_full() {
  local free
  free=$(free_bytes "$state" 2>/dev/null) && ((free < 1024 * 1024))
}

refuse() { end_step refused "$@"; }
fail() { end_step failed "$@"; }

# Runs one step, journalled before it is taken. It runs in a subshell of its own, so that `set -e` holds in it:
# what later steps need, it keeps as facts. A failed step ends the operation by `give_up STEP`, or by `on_failure`.
step() {
  local name=$1 code ok=false
  shift
  rm -f "$journal/failure" "$journal/note"
  record "{\"at\":$(now_ms),\"step\":\"$name\",\"event\":\"started\"}"
  say "step $name"
  set +e
  (
    set -e
    "$@"
  )
  code=$?
  set -e
  if ((code == 0)); then ok=true; fi
  record "{\"at\":$(now_ms),\"step\":\"$name\",\"event\":\"ended\",\"ok\":$ok,\"note\":$(as_json "$(cat "$journal/note" 2>/dev/null)")}"
  if ((code != 0)); then
    drop_ballast
    # In a subshell, whose end is not ours: a step may die without a word.
    [[ -s $journal/failure ]] || (end_step failed '' "Step $name ended with code $code$(last_words).") || true
    "${on_failure:-give_up}" "$name"
  fi
}

# What the last command of a step said, for people.
last_words() {
  local words
  words=$(tail -c 4096 "$journal/log" | tr -c '\n[:print:]' ' ' | tail -n 1)
  if [[ ${excerpts:-on} == on && -n $words ]]; then printf ': %s' "${words:0:300}"; fi
}

current_step() { journal_lines | jq -rn '[inputs | select(.event == "started") | .step] | last // ""'; }

failure() { jq -r --arg key "$1" '.[$key] // ""' "$journal/failure"; }

# What the step that failed said, into the caller's `result`, `reason` and `sentence`.
take_failure() { # STEP
  result=$(failure result)
  reason=$(failure reason)
  sentence=$(failure sentence)
  if [[ -z $reason ]]; then reason=$(usual_reason "$1"); fi
  if [[ $excerpts == off ]]; then : >"$journal/excerpt"; fi
}

# False when not all of them could be removed.
remove_old_operations() { find "$state/operations" -mindepth 1 -maxdepth 1 -type d -mtime +30 ! -name "$operation" -exec rm -rf {} +; }

# Milliseconds that are left of the operation's time.
time_left_ms() {
  local started
  started=$(fact started)
  printf '%s' "$((${started:-$(uptime_ms)} + work_seconds * 1000 - $(uptime_ms)))"
}

# Where an operation may stop without leaving anything to put back.
safe_point() {
  if [[ -e $journal/cancel ]]; then
    fail cancelled 'Cancelled on request, at a point where nothing had changed for users.'
  fi
  if [[ -e $journal/full ]]; then
    fail no-room 'The disk of the host filled up.'
  fi
  if (($(time_left_ms) <= 0)); then
    fail timed-out "The operation's time of $work_seconds s was over."
  fi
}

safely() {
  safe_point
  "$@"
}
