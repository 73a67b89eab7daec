#!/bin/bash
# Putting back what an operation did, when it failed or died: by its journal, and as often as it takes.
# shellcheck shell=bash disable=SC2154

# Puts back what this operation did, as far as its journal says that it came. It may be run again at any point.
# `boot`: no unit runs yet, and the generator will start what `current` names.
put_back() {
  local stage=${1:-now} previous
  previous=$(fact previous)
  if [[ $stage == now ]]; then
    stop_hook || say "$hook_unit does not end"
    stop_rehearsal
  fi
  # Before the new one stops: the socket starts what `current` names.
  if [[ $(live_release) == "$short" && $previous != "$short" ]]; then
    if [[ -n $previous ]]; then point_current "$previous"; else rm "$home/current"; fi
    if [[ $stage == now ]]; then systemctl daemon-reload; fi
  fi
  if [[ $stage == now ]]; then
    if has_fact exposed; then take_public_back "$previous"; else stop_release "$short"; fi
  fi
  if data_is_to_go_back "$stage"; then put_data_back; fi
  remove_copy
  if [[ $stage == now ]]; then
    systemctl daemon-reload
    if [[ -n $previous ]]; then start_release "$previous"; fi
    if has_fact workers-stopped && [[ -n $previous ]]; then start_workers; fi
  fi
}

# Only when the new release never held the public port, and nobody can have written since the data was kept: in the
# boot of the operation, or before anything starts in the very next one. Later the old release may have written.
data_is_to_go_back() {
  local -a boots
  has_fact kept && has_fact migrating && ! has_fact exposed && ! has_fact data-back && ! has_fact data-left || return 1
  # Should the holder have died, users met what has the port's socket.
  [[ $1 == boot ]] || ! has_socket || is_running "$app-pause.service" || return 1
  boots=("$(fact boot)" "$(</proc/sys/kernel/random/boot_id)")
  case $1 in
  boot) [[ -f $state/boots && $(tail -n 2 "$state/boots") == "${boots[0]}"$'\n'"${boots[1]}" ]] ;;
  *) [[ ${boots[0]} == "${boots[1]}" ]] ;;
  esac
}

# A migration of live data that stopped half-way is never resumed (attack 11): as before, nothing happened; as
# the copy's after, it is whole; else we cannot tell. With the data put back there is no question.
migration_is_unclear() {
  local now
  has_fact migrating && ! has_fact migrated && ! has_fact data-back || return 1
  now=$(schema_below "$(setting user)" "$home/shared")
  [[ $now != "$(fact schema-before)" && $now != "$(fact schema-after)" ]]
}

# Judges the host after put_back, and ends the operation.
conclude_put_back() {
  local reason=$1 sentence=$2 previous seconds
  rm -f "$journal/failure" # told already
  previous=$(fact previous)
  if has_fact data-left; then
    sentence+=" The data could not be put back (a full disk, or a hook that does not end) and is as the migration left it; as it was before, it is in $backup/kept."
  fi
  if [[ -n $previous ]]; then stop_holder; fi # without one, requests go on waiting
  if [[ -n $previous ]] && ! (verify_old "$previous"); then
    finish failed "$reason" "$sentence Release $previous was put back, but is not healthy: $(failure sentence)" "$(outcome false "$previous")"
    return
  fi
  seconds=$(fact load-ms)
  if { has_fact exposed || has_fact held; } && ! settle "$previous" "$(seconds_of "$((${seconds:-1000} + 200))")"; then
    finish unknown "$reason" "$sentence Another release's unit keeps coming up on this host." "$(outcome false "$previous")"
  elif has_fact data-left; then
    finish failed "$reason" "$sentence${previous:+ Release $previous serves on it.}" "$(outcome "$([[ -n $previous ]] && echo true || echo false)" "$previous")"
  elif migration_is_unclear; then
    finish unknown migrate-interrupted "$sentence The migration of the live data stopped half-way: its schema is neither the old nor the new. ${previous:+Release $previous serves on. }Compare it with the backup in $backup/before, and restore that or finish the migration by hand." "$(outcome true "$previous")"
  elif [[ -n $previous ]]; then
    finish reverted "$reason" "$sentence Release $previous serves and is healthy." "$(outcome true "$previous")"
  else
    finish failed "$reason" "$sentence No release was live before, and none is now." "$(outcome false '')"
  fi
}

verify_old() {
  await_healthy old "$app@$1.service" "$(start_timeout_ms "$1")"
}

# Finishes this operation after its death. What `current` names is the truth: with the new release there, the
# operation is carried to its end; else everything is put back.
recover() {
  local stage=$1 reason stopped
  begin_recovery "$stage"
  # Data that goes back twice is lost: what cannot be written down is not begun.
  keep_fact interrupted "$stopped" || ! data_is_to_go_back "$stage" || exit 74
  [[ -n $stopped ]] || keep_fact previous "$(live_release)" # it died before it could look
  if [[ $(live_release) != "$short" && $(live_release) != "$(fact previous)" ]]; then
    [[ $stage == boot ]] || leave_alone
  elif [[ $(live_release) == "$short" && $(fact previous) != "$short" ]]; then
    [[ $stage == boot ]] || finish_forward
  else
    put_back "$stage"
    [[ $stage == boot ]] || conclude_put_back "$reason" "The operation died in step ${stopped:-none}."
  fi
}

# Others deployed since: what this operation changed, they changed again.
leave_alone() {
  local now
  now=$(live_release)
  finish unknown interrupted "The operation died in step $(fact interrupted), and another release is live since: ${now:-none}. Nothing was put back." "$(outcome false "$now")"
}

finish_forward() {
  systemctl daemon-reload
  start_release "$short"
  if (await_forward); then
    finish_live ' The operation was interrupted after the switch and finished by recovery.'
  else
    keep_fact exposed "$(uptime_ms)"
    put_back
    conclude_put_back interrupted "The operation died after the switch, and release $short is not healthy."
  fi
}

# Asked in a condition, where bash forgets `set -e`.
await_forward() {
  rm -f "$journal/failure"
  stop_holder
  await_healthy public "$app@$short.service" "$(start_timeout_ms "$short")"
  settle "$short" 0 || exit 1
  start_workers || exit 1
}
