#!/bin/bash
# Puts a chosen backup back, or proves in a folder of its own that it restores: fetched by URLs that the request names, for this host
# may not read backups. What was there is kept; what does not come up on it is put back.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/watch.sh
# include library/guard.sh
# include library/leftover.sh
# include library/release.sh
# include library/sandbox.sh
# include library/data.sh
# include library/rehearsal.sh
# include library/backup.sh
# include library/health.sh
# include library/switch.sh
# include library/enrolment.sh
# include library/verify.sh
# include library/restore.sh

action=restore
# As soon as the request is read: see know_request.
short='' folder='' release=''

# A backup that is bad and a drill that could not run are two different reds.
exit_code_of() { # RESULT REASON
  case $2 in
  restored | verified) echo 0 ;;
  backup-bad) echo 20 ;;
  drill-could-not-run) echo 21 ;;
  control-passed) echo 22 ;;
  *) case $1 in reverted) echo 1 ;; refused) echo 2 ;; failed) echo 3 ;; *) echo 4 ;; esac ;;
  esac
}

recognise() {
  check_host
  [[ $fence == none ]] || check_fence
  if [[ $mode == restore ]]; then
    check_units
    check_firewall
    check_socket
  fi
}

# Users wait with the holder until the probe has answered; without a socket they meet it at once.
start_app() {
  await_environment
  if has_socket; then
    switch_by_pause
  else
    expose
  fi
}

settle_in() {
  commit
  start_workers
  wake_up
  remove_staged
  remove_old_asides || note 'Not all old sets of files could be removed; the next backup tries again.'
}

# The fields of the result that a restore adds: outcome HEALTHY RELEASE-NOW-LIVE
outcome() {
  local wait_ms down_ms manifest=$journal/manifest.json
  read -r wait_ms down_ms < <(users_times)
  whole_lines "$journal/levels.jsonl" | jq -cs --arg control "$(fact control)" '{levels: ., $control}' >"$journal/further"
  [[ -f $manifest ]] || manifest=/dev/null
  jq -nc --arg mode "$mode" --arg manifest "$([[ ! -f $journal/request.json ]] || manifest_key 2>/dev/null)" --slurpfile of "$manifest" --slurpfile levels <(whole_lines "$journal/levels.jsonl") \
    --arg release "$2" --arg previous "$(fact previous)" --arg aside "$(fact aside)" --argjson healthy "$1" --argjson met "$(has_fact exposed && echo true || echo false)" \
    --argjson wait_ms "$wait_ms" --argjson down_ms "$down_ms" '{$mode, $manifest, level: ([$levels[] | select(.verdict == "passed") | .level] | max // 0),
      databases: ($of[0].databases // [] | length), rows: ([$of[0].databases[]?.tables[]] | add // 0), $release, $previous, $met, $healthy, $wait_ms, $down_ms, $aside}
      | if $mode == "verify" then del(.healthy) else . end' # nothing was started
}

# A step failed: what was done is put back. Where even that fails, recovery tries again.
give_up() {
  local result reason sentence
  take_failure "$1"
  take_back now || exit 1
  conclude_back "$result" "$reason" "$sentence"
  exit 0
}

usual_reason() {
  if is_full; then
    echo no-room
  else
    case $1 in
    start | check | settle) echo start-failed ;;
    stop | exchange) echo switch-failed ;;
    *) echo drill-could-not-run ;;
    esac
  fi
}

# What is there may be what is to be replaced because it is broken: then it is kept aside as it is, and no copy made.
go_on_without_copy() {
  case $(failure reason) in cancelled | timed-out) give_up "$1" ;; esac
  keep_fact uncopied "$(failure sentence)"
  remove_half
  rm -f "$journal"/{failure,full}
}

work() {
  # systemd takes death by SIGTERM for a success, and then no recovery follows.
  trap 'exit 143' TERM
  install -d -m 0700 "$state/releases"
  if ! take_host; then
    finish refused busy "Operation $(head -n 1 "$state/lock") is at work on this host; nothing was changed." "$(outcome false '')"
    return
  fi
  recover_others
  keep_fact started "$(uptime_ms)"
  keep_fact previous "$(live_release)"
  keep_fact boot "$(</proc/sys/kernel/random/boot_id)"
  step lock safely recognise
  step request safely read_request
  know_request
  if [[ $mode == restore ]]; then step fits safely check_fits; fi
  step room safely check_room
  step fetch safely fetch_all
  step integrity safely prove_level 3
  step content safely prove_level 4
  if [[ $control == on ]]; then step control safely prove_control; fi
  if [[ $mode == verify ]]; then
    finish_verified
    return
  fi
  begin_environment
  step code safely lay_code
  step ready safely set_journal_modes
  on_failure=go_on_without_copy step copy safely copy_present
  step stop safely stop_app
  step exchange exchange
  step start start_app
  step check check_public
  step settle settle_in
  finish_restored ''
}

# Not while another operation is at work, be it a backup: what it copies would be exchanged under its hands.
take_host() { lock_host 0 || { [[ -z $(running_operation) ]] && lock_host 90; }; }

finish_verified() {
  remove_staged
  finish 'done' verified "The backup $(manifest_key) restores, up to level 4: $(tell_content)." "$(outcome false '')"
}

finish_restored() {
  local previous
  previous=$(fact previous)
  finish 'done' restored "The backup $(manifest_key) is in place: $(tell_content). Release $short is healthy on it$([[ -z $previous || $previous == "$short" ]] || echo ", in place of $previous").$(tell_kept)$1" \
    "$(outcome true "$short")"
}

tell_content() {
  of_manifest '"\(.databases | length | if . == 1 then "1 database" else "\(.) databases" end) with \([.databases[].tables[]] | add // 0) rows, as they were at \(.copied / 1000 | floor | todate)"'
}

tell_kept() {
  if [[ -n $(fact previous) ]]; then printf ' What was there before is in %s.' "$(fact aside)"; fi
  if has_fact uncopied; then printf ' It could not be copied as a backup is, and lies there as it was: %s' "$(fact uncopied)"; fi
}

# Finishes this operation after its death. Before all files were exchanged, the old ones are put back; after it, the new ones
# stay if the app is healthy on them. Nothing may start on a mixture: a boot waits for this.
recover() {
  local stage=$1 reason stopped
  begin_recovery "$stage"
  if [[ $mode == verify ]]; then reason=drill-could-not-run; fi
  keep_fact interrupted "$stopped" || exit 74 # what cannot be written down is not begun
  if [[ -f $journal/manifest.json ]]; then know_request; fi
  if has_fact installed && ! has_fact undoing; then
    [[ $stage == boot ]] || carry_on "$reason"
  else
    take_back "$stage" || exit 1
    [[ $stage == boot ]] || conclude_back failed "$reason" "The operation died in step ${stopped:-none}."
  fi
}

# Nobody else may have changed what is live since.
carry_on() {
  local now
  now=$(live_release)
  if [[ $now != "$short" ]]; then
    finish unknown "$1" "The operation died in step $(fact interrupted), and another release is live since: ${now:-none}. Nothing was put back." "$(outcome false "$now")"
  elif (await_carried); then
    finish_restored ' It was interrupted after the exchange, and finished by recovery.'
  else
    take_back now || exit 1
    conclude_back failed "$1" "The operation died after the exchange, and release $short is not healthy on the backup: $(failure sentence)"
  fi
}

# Asked in a condition, where bash forgets `set -e`.
await_carried() {
  rm -f "$journal/failure"
  systemctl daemon-reload
  is_running "$app-pause.service" || keep_fact exposed "$(uptime_ms)"
  start_release "$short"
  if has_socket; then await_healthy probe "$app@$short.service" "$(start_timeout_ms)"; fi
  has_fact exposed || keep_fact exposed "$(uptime_ms)"
  stop_holder
  await_healthy public "$app@$short.service" "$(start_timeout_ms)"
  settle "$short" 0 || exit 1
  settle_in || exit 1
}

begin_operation "$@"
