#!/bin/bash
# What every host script shares. It runs as root, from the SSM agent (no HOME, cwd /usr/bin) or from systemd.
# The parameters (app, environment, operation, timeout, ...) are assigned above, by src/document/compose.ts.
# shellcheck shell=bash disable=SC2154

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C AWS_PAGER='' AWS_MAX_ATTEMPTS=4
umask 077
cd /

settings=/etc/understudy/$app.json
home=/srv/$app
state=/var/lib/understudy/$app
runtime=/run/understudy/$app
journal=$state/operations/$operation
unit=understudy-$app-$operation.service
installed=/usr/local/lib/understudy

now_ms() {
  local microseconds=${EPOCHREALTIME/./}
  printf '%s' "$((microseconds / 1000))"
}

say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }

# ---- the journal: what is not on the disk was not done -----------------------------------------------------

record() {
  printf '%s\n' "$1" >>"$journal/journal.jsonl"
  sync "$journal/journal.jsonl"
}

journal_lines() {
  if [[ -f $journal/journal.jsonl ]]; then
    jq -cR 'fromjson? // empty' "$journal/journal.jsonl" # a power cut may have torn the last line
  fi
}

keep_fact() { record "$(jq -nc --arg fact "$1" --arg value "$2" --argjson at "$(now_ms)" '{$at, $fact, $value}')"; }

fact() { journal_lines | jq -rn --arg fact "$1" '[inputs | select(.fact == $fact) | .value] | last // ""'; }

has_fact() { [[ -n $(fact "$1") ]]; }

# Replaces a file as a whole: after a power cut it is the old one or the new one.
write_whole() {
  local target=$1 mode=${2:-0600}
  cat >"$target.new"
  chmod "$mode" "$target.new"
  sync "$target.new"
  mv -fT "$target.new" "$target"
  sync "$(dirname "$target")"
}

# ---- steps ------------------------------------------------------------------------------------------------

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
# what later steps need, it keeps as facts. A failed step ends the operation by `give_up STEP`.
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
    give_up "$name"
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

# The unit ends a little before the SSM step does, so that the watcher still tells what became of it.
reserve_seconds=$((timeout / 4 > 60 ? 60 : timeout / 4))
work_seconds=$((timeout - reserve_seconds))

# Where an operation may stop without leaving anything to put back.
safe_point() {
  if [[ -e $journal/cancel ]]; then
    fail cancelled 'Cancelled on request, at a point where nothing had changed for users.'
  fi
  if (($(time_left_ms) <= 0)); then
    fail timed-out "The operation's time of $work_seconds s was over before the switch."
  fi
}

# ---- the host's lock --------------------------------------------------------------------------------------

lock_host() {
  exec 9>>"$state/lock"
  if ! flock --wait "${1:-0}" 9; then
    return 1
  fi
  printf '%s\n' "$operation" >"$state/lock"
}

# The operation that runs now, or nothing. It looks and does not lock: `probe` changes nothing.
running_operation() {
  local holder
  holder=$(head -n 1 "$state/lock" 2>/dev/null || true)
  if [[ -n $holder ]] && is_running "understudy-$app-$holder.service"; then
    printf '%s' "$holder"
  fi
}

# ---- databases --------------------------------------------------------------------------------------------

database_uri() { jq -rn --arg path "$1" --arg how "$2" '"file:" + ($path | split("/") | map(@uri) | join("/")) + "?" + $how'; }

query() { # USER URI STATEMENTS
  as_user "$1" timeout 900 sqlite3 -batch -bail -init /dev/null -cmd '.timeout 20000' "$2" "$3"
}

# Copies one database while it is written to: back_up_database USER SOURCE TARGET integrity_check|quick_check.
# Inside a read transaction, or each foreign write would start the copy anew. What sqlite3 calls ok proves little:
# the text, the size and a table are looked at (an unreadable path gives an empty, sound database).
back_up_database() {
  local user=$1 source=$2 target=$3 check=$4 found
  as_user "$user" timeout 900 sqlite3 -batch -bail -init /dev/null "$(database_uri "$source" mode=rw)" >/dev/null <<SQL || return 1
.timeout 20000
BEGIN;
SELECT 1 FROM sqlite_master LIMIT 1;
.backup '$target'
COMMIT;
SQL
  mapfile -t found < <(query "$user" "$(database_uri "$target" immutable=1)" \
    "PRAGMA $check; SELECT count(*) FROM sqlite_master WHERE type = 'table'; PRAGMA page_count; PRAGMA page_size;")
  [[ ${#found[@]} == 4 && ${found[0]} == ok ]] && ((found[1] >= 1)) &&
    (($(stat --format=%s "$target") == found[2] * found[3])) && sync "$target"
}

# The fingerprint of one database's schema: schema_of USER FILE HOW (an URI's mode=rw, or immutable=1 for a copy).
schema_of() {
  query "$1" "$(database_uri "$2" "$3")" \
    'SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql; PRAGMA user_version;' | sha256sum | cut -d ' ' -f 1
}

# ---- users and units --------------------------------------------------------------------------------------

setting() { jq -r --arg key "$1" '.[$key] | if type == "array" then join(" ") else . end' "$settings"; }

# Runs a command as a user who can gain nothing more: all that touches an app's data runs so (attack 6).
as_user() {
  local user=$1
  shift
  setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --no-new-privs \
    --inh-caps=-all --bounding-set=-all \
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/nonexistent LC_ALL=C "$@"
}

unit_state() { systemctl show --property "$2" --value "$1"; }

# Several properties, one a line, in the order asked for.
unit_states() {
  local of=$1 property value
  local -A found=()
  shift
  while IFS='=' read -r property value; do found[$property]=$value; done < <(systemctl show "${@/#/--property=}" "$of")
  for property in "$@"; do printf '%s\n' "${found[$property]:-}"; done
}

is_running() { [[ $(unit_state "$1" ActiveState) =~ ^(active|activating|reloading|deactivating)$ ]]; }

live_release() {
  local name
  name=$(readlink "$home/current" 2>/dev/null) || return 0
  name=${name##*/}
  if [[ $name =~ ^[0-9a-f]{12}$ ]]; then
    printf '%s' "$name"
  fi
}

# ---- instance and store -----------------------------------------------------------------------------------

instance_id() {
  local at=http://169.254.169.254/latest token
  token=$(curl -q --silent --fail --max-time 5 --noproxy '*' --request PUT \
    --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$at/api/token") || return 1
  curl -q --silent --fail --max-time 5 --noproxy '*' --header "X-aws-ec2-metadata-token: $token" \
    "$at/meta-data/instance-id"
}

store() {
  timeout --kill-after=5 "${store_seconds:-300}" aws --region "$(setting region)" \
    --cli-connect-timeout 5 --cli-read-timeout 60 "$@"
}

# Puts an object that must not exist yet.
put_once() {
  store s3api put-object --bucket "$(setting bucket)" --key "$2" --body "$1" --if-none-match '*' \
    --content-type "$3" >/dev/null
}

# ---- what leaves the host ---------------------------------------------------------------------------------

# Takes the values of the app's environment out of what leaves the host, literally. Values of fewer than 4
# characters stay: without them no text would be left.
# shellcheck disable=SC2016
redaction='
  def redacted: reduce ($values | add // [] | map(split("\n")[] | select(length >= 4)) | sort_by(-length)[]) as $value
    (.; split($value) | join("[redacted]"));'

values_file() { if [[ -s $runtime/values.json ]]; then echo "$runtime/values.json"; else echo /dev/null; fi; }

redact() { jq -Rrs --slurpfile values "$(values_file)" "$redaction redacted"; }

redact_json() {
  jq -ac --slurpfile values "$(values_file)" "$redaction walk(if type == \"string\" then redacted else . end)"
}

# Ends the operation: finish RESULT REASON SENTENCE [JSON of further fields]
finish() {
  local result=$1 reason=$2 sentence=$3 more=${4:-'{}'} digest=''
  sentence=$(printf '%s' "$sentence" | tr '\n' ' ' | cut -c 1-700)
  [[ -f $journal/checks.jsonl ]] || : >"$journal/checks.jsonl"
  [[ -f $journal/excerpt ]] || : >"$journal/excerpt"
  jq -nac --arg action "$action" --arg operation "$operation" --arg result "$result" --arg reason "$reason" \
    --arg instance "$(setting instance 2>/dev/null || true)" --arg sentence "$sentence" --argjson more "$more" '
    {schema: 1, $action, $operation, $result, $reason, $instance} + $more + {$sentence}' | redact_json >"$journal/fields"
  jq -nac --slurpfile fields "$journal/fields" --slurpfile journal <(journal_lines) \
    --slurpfile checks "$journal/checks.jsonl" --rawfile log "$journal/excerpt" '
    $fields[0] + {
      steps: [$journal[] | select(.event == "started") as $begun
        | [$journal[] | select(.event == "ended" and .step == $begun.step and .at >= $begun.at)][0] as $finish
        | {name: .step, started: .at, ended: ($finish.at // null), ok: ($finish.ok // false), note: ($finish.note // "")}],
      $checks, log: ($log | split("\n") | map(select(length > 0)))}' | redact_json >"$journal/details"
  if [[ -f $settings ]]; then
    digest=$(upload_results) || digest=''
  fi
  jq -ac --arg details "$digest" '. + {$details}' "$journal/fields" | write_whole "$journal/line"
  say "$result $reason: $sentence"
  printf '%s' "${journal##*/}" >"$state/last"
}

upload_results() {
  local key
  key=$app/$environment/$operation/$(setting instance)
  # One key a run: a repeat of an operation that was not done leaves the first one's object as it is.
  if put_once "$journal/details" "results/$key.json" application/json; then
    sha256sum <"$journal/details" | cut -d ' ' -f 1
  fi
  if [[ -s $journal/log ]]; then
    redact <"$journal/log" >"$journal/log.redacted"
    put_once "$journal/log.redacted" "logs/$key.log" text/plain || say 'The log could not be stored.'
    rm -f "$journal/log.redacted"
  fi
}

exit_code_of() {
  case $1 in
  done | unchanged) echo 0 ;;
  reverted) echo 1 ;;
  refused) echo 2 ;;
  failed) echo 3 ;;
  *) echo 4 ;;
  esac
}

# Prints a result line as the first of stdout and leaves. Never with 137, 168, 169 or 194: the agent reads those.
tell_and_exit() {
  printf 'UNDERSTUDY_RESULT %s\n' "$1"
  exit "$(exit_code_of "$(jq -r .result <<<"$1")")"
}

# A result without an operation: nothing was begun, nothing is kept.
tell_only() {
  tell_and_exit "$(jq -nac --arg action "$action" --arg operation "$operation" --arg result "$1" --arg reason "$2" \
    --arg sentence "$3" --argjson more "${4:-"{}"}" \
    '{schema: 1, $action, $operation, $result, $reason} + $more + {$sentence, details: ""}')"
}

# ---- the watcher ------------------------------------------------------------------------------------------

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
  cp "$0" "$journal/script.new"
  sync "$journal/script.new"
  mv -f "$journal/script.new" "$journal/script"
  systemctl reset-failed "$unit" 2>/dev/null || true
  # Two watchers at once: the second finds the unit there, and waits for it as the first does.
  systemd-run --quiet --unit="$unit" --description="Understudy: $action $app" --collect \
    --property=KillMode=control-group --property=RuntimeMaxSec="$work_seconds" --property=TimeoutStopSec=10 \
    --property=StandardOutput=append:"$journal/log" --property=StandardError=append:"$journal/log" \
    "${properties[@]}" /bin/bash "$journal/script" work </dev/null >&2 || is_running "$unit"
}

wait_for_line() {
  local idle=0
  while [[ ! -f $journal/line ]]; do
    sleep 0.2
    if is_running "$unit" || is_running "understudy-recover@$app.service"; then
      idle=0
    elif ((++idle > 150)); then # 30 s with nobody at work
      tell_only unknown no-result \
        "Operation $operation ended without a result; send $app-probe with about=$operation to see the host's state."
    fi
  done
  tell_and_exit "$(<"$journal/line")"
}
