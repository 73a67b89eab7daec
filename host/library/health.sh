#!/bin/bash
# Healthy: the main process runs inside its release's folder and holds the socket, and every check answers as promised.
# shellcheck shell=bash disable=SC2154

# await_healthy WHERE UNIT MILLISECONDS: the main process runs inside its release's folder and holds the socket,
# and every check answers. Records the last answer to each check; ends the step when it is not so.
await_healthy() {
  local where=$1 of=$2 until
  until=$(($(uptime_ms) + $3))
  await_process "$where" "$of" "$until"
  ask_checks "$where" "$of" "$until"
}

# await_process WHERE UNIT UNTIL: the first half of it.
await_process() {
  local where=$1 of=$2 until=$3 problem
  remember_start "$of"
  while problem=$(process_problem "$where" "$of"); [[ -n $problem ]]; do
    has_died "$of" && fail_start "$of" 'ended'
    (($(uptime_ms) < until)) || fail_start "$of" "is not up: $problem"
    sleep 0.1
  done
}

# The last lines of a unit, for people; a journal that cannot be read changes no verdict. What a process said right
# before its end may still be on its way into it.
keep_excerpt() {
  timeout 10 journalctl --sync || true
  journalctl --unit "$1" --output cat --lines 40 --no-pager >"$journal/excerpt" 2>/dev/null || true
}

fail_start() {
  keep_excerpt "$1"
  fail start-failed "${1%.service} $2."
}

# What a unit was when we began to look at it: see has_died.
remember_start() {
  restarts_before=$(unit_state "$1" NRestarts)
  invocation_before=''
}

# Over with no job to start it; started again for the third time; or, where only a socket can have done that,
# started again at all (a waiting check wakes what died).
has_died() {
  local active job restarts invocation
  {
    read -r active
    read -r job
    read -r restarts
    read -r invocation
  } < <(unit_states "$1" ActiveState Job NRestarts InvocationID)
  [[ -n $invocation_before || ($active == inactive && -n $job) ]] || invocation_before=$invocation
  case $1 in
  "$app@"*) [[ $active == failed ]] || ((restarts - restarts_before >= 3)) ;;
  *) [[ $active == failed || ($active == inactive && -z $job) || ${invocation_before:-$invocation} != "$invocation" ]] ;;
  esac
}

# For how long after its first user a release is looked at; a file of root's may say otherwise, for hosts of tests.
watched_ms() { cat /etc/understudy/watched-ms 2>/dev/null || echo 6000; }

# From the moment at which it is seen healthy for the first time, a release may not start anew.
keep_restarts() { has_fact restarts || keep_fact restarts "$(unit_state "$app@$short.service" NRestarts)"; }
lives_on() { [[ $(unit_state "$1" NRestarts) == "$(fact restarts)" ]]; }

# Prints what is wrong with a unit's main process, or nothing.
process_problem() {
  local where=$1 of=$2 main active inode
  {
    read -r main
    read -r active
  } < <(unit_states "$of" MainPID ActiveState)
  ((${main:-0} > 0)) || { echo 'no main process' && return; }
  [[ $active == active ]] || { echo 'still starting' && return; }
  [[ $(readlink "/proc/$main/cwd")/ == "$home/releases/$(behind_at "$of")"/* ]] ||
    { echo "process $main does not run inside its release's folder" && return; }
  has_socket || [[ $where != rehearsal ]] || return 0
  for inode in $(socket_inodes "$where" "$of"); do
    holds "$main" "$inode" && return
  done
  echo "process $main does not hold the $where socket"
}

# The public port for public and old, else the probe's path. `probe` in a live unit must hold both.
socket_inodes() {
  local path
  case $1 in
  public | old) listening_inodes "$(setting port)" ;;
  *)
    path=$(probe_path "$2")
    awk -v path="$path" '$8 == path {print $7}' /proc/net/unix
    ;;
  esac
}

probe_path() {
  case $1 in
  "$app-rehearse@"*) echo "$runtime/rehearse-$(behind_at "$1").sock" ;;
  *) echo "$runtime/probe-$(behind_at "$1").sock" ;;
  esac
}

listening_inodes() {
  local hex
  hex=$(printf ':%04X' "$1")
  awk -v hex="$hex" '$4 == "0A" && substr($2, length($2) - 4) == hex {print $10}' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

holds() { [[ -n $(find "/proc/$1/fd" -lname "socket:\\[$2\\]" -print -quit 2>/dev/null) ]]; }

# No answer is asked again until the time is over: the server may still be loading. A wrong answer gets three tries.
ask_checks() {
  local where=$1 of=$2 until=$3 checks check answer ok status wrong
  checks=$(checks_of "$(behind_at "$of")") || fail check-failed "The checks of ${of%.service} cannot be read."
  has_died "$of" && fail_start "$of" 'ended'
  while IFS= read -r check; do
    [[ -n $check ]] || continue
    wrong=0
    while
      answer=$(ask "$where" "$of" "$check")
      read -r ok status < <(jq -r '"\(.ok) \(.status)"' <<<"$answer")
      [[ $ok != true ]]
    do
      if has_died "$of"; then
        printf '%s\n' "$answer" >>"$journal/checks.jsonl"
        fail_start "$of" 'ended while it was asked its checks'
      fi
      if [[ $status != 0 ]]; then wrong=$((wrong + 1)); fi
      if ((wrong >= 3)) || (($(uptime_ms) >= until)); then
        printf '%s\n' "$answer" >>"$journal/checks.jsonl"
        keep_excerpt "$of"
        fail check-failed "$(tell_failed_check "$answer")"
      fi
      sleep 0.3
    done
    printf '%s\n' "$answer" >>"$journal/checks.jsonl"
  done <<<"$checks"
}

tell_failed_check() {
  jq -r '{rehearsal: "in the rehearsal on a copy of the data", probe: "before it took over", public: "on the public port",
    old: "on the release that was live before"}[.where] as $place
    | "The check \(.path) failed \($place): \(.problem)."' <<<"$1"
}

# Asks one check and judges the answer: status, content type, JSON fields, time.
# The `$` in single quotes are jq's.
# shellcheck disable=SC2016
ask() {
  local where=$1 of=$2 check=$3 path seconds began spent user code=0 status type words
  local -a reach enter=()
  read -r seconds path < <(jq -r '"\((.timeout_ms // 5000) / 1000) \(.path)"' <<<"$check")
  user=$(setting user)
  reach=("http://localhost$path" --unix-socket "$(probe_path "$of")")
  case $where in
  public | old) reach=("http://127.0.0.1:$(setting port)$path" --header 'Host: localhost') ;;
  rehearsal)
    user=$app-rehearse
    if ! has_socket; then
      reach=("http://127.0.0.1:$(setting port)$path" --header 'Host: localhost')
      enter=(nsenter --net --target "$(unit_state "$of" MainPID)" --)
    fi
    ;;
  esac
  words=$(mktemp -d)
  began=$(uptime_ms)
  as_user "$user" curl -q --silent --globoff --path-as-is --proto =http --noproxy '*' \
    --max-time "$seconds" --write-out '%{stderr}%{http_code} %{content_type}' "${reach[@]}" \
    2>"$words/meta" | head -c 1048576 >"$words/body" || code=$?
  spent=$(($(uptime_ms) - began))
  read -r status type <"$words/meta" || true
  jq -nc --arg where "$where" --argjson ms "$spent" --argjson check "$check" --arg status "${status:-000}" --arg type "${type:-}" \
    --arg code "$code" --arg excerpts "$excerpts" --rawfile body "$words/body" --slurpfile values "$(values_file)" "$redaction"'
    def holds($want): . as $got | if ($want | type) == "object"
      then ($got | type) == "object" and all($want | keys[]; . as $key | ($got | has($key)) and ($got[$key] | holds($want[$key])))
      else $got == $want end;
    ($status | tonumber? // 0) as $status
    | ($type | split(";")[0] // "" | ascii_downcase | gsub("\\s"; "")) as $media
    | ($check.type // "" | ascii_downcase) as $promised
    | ([if $status != ($check.status // 200) then "status is \($status), not \($check.status // 200)" else empty end,
        if $promised != "" and $media != $promised then "content type is \(if $media == "" then "missing" else $media end), not \($promised)" else empty end]
        | join(" and ")) as $unlike
    | (if $code == "28" then "no answer within \($check.timeout_ms // 5000) ms"
       elif $status == 0 then "no answer (curl ended with \($code))"
       elif $unlike != "" then $unlike
       elif $check.json == null then ""
       else ($body | try fromjson catch "not JSON") as $json
         | if $json | holds($check.json) then "" else "JSON is not as promised: \($check.json | tojson)" end
       end) as $problem
    | {where: $where, path: $check.path, ok: ($problem == ""), status: (if $code == "28" then 0 else $status end), type: $type, ms: $ms,
       body: (if $excerpts == "on" then ($body | split("\n")[0] // "" | redacted | .[0:200]) else "" end), problem: $problem}'
  rm -rf "$words"
}

answers_now() { [[ -z $(wrong_answer "$@") ]]; }

# wrong_answer WHERE RELEASE: what the first check says that is not answered as promised, or nothing.
wrong_answer() {
  local checks check problem
  checks=$(checks_of "$2") || { echo 'its checks cannot be read' && return; }
  while IFS= read -r check; do
    [[ -n $check ]] || continue
    problem=$(ask "$1" "$app@$2.service" "$check" | jq -r 'if .ok then "" else "\(.path): \(.problem)" end') || problem='a check could not be asked'
    [[ -z $problem ]] || { printf '%s' "$problem" && return; }
  done <<<"$checks"
}

# What keeps a live release from being healthy where its users are, or nothing.
public_problem() {
  local problem
  problem=$(process_problem public "$app@$1.service")
  if [[ -n $problem ]]; then printf '%s' "$problem"; else wrong_answer public "$1"; fi
}
