#!/bin/bash
# Takes this machine out of service for good: its port is closed, nothing of the app runs, also after a boot, until an operator
# sends prepare-host. A backup can still be taken: nobody writes any more (attack 28).
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/watch.sh
# include library/guard.sh
# include library/leftover.sh
# include library/enrolment.sh

action=retire

outcome() { jq -nc --arg release "$(live_release)" '{$release, healthy: false}'; }

recognise() {
  check_host
  check_fence
}

# Written down before anything stops: from here on no boot starts it again.
rest() {
  lay_to_rest retired
  stop_everything
}

see_that_it_rests() {
  local up
  up=$(what_is_up)
  [[ -z $up ]] || fail retire-failed "The machine is marked as retired and starts nothing again, but $up still runs."
}

what_is_up() {
  systemctl list-units --all --plain --no-legend --state=active,activating,reloading,deactivating \
    "$app.socket" "$app@*.service" "$app-pause.service" "$app-worker@*.service" | awk '{print $1}' | head -n 1
}

work() {
  # systemd takes death by SIGTERM for a success, and then no recovery follows.
  trap 'exit 143' TERM
  if ! take_host; then
    finish refused busy "Operation $(head -n 1 "$state/lock") is at work on this host." "$(outcome)"
    return
  fi
  recover_others
  keep_fact started "$(uptime_ms)"
  keep_fact boot "$(</proc/sys/kernel/random/boot_id)"
  step lock safely recognise
  if is_unenrolled && [[ -z $(what_is_up) ]]; then
    finish unchanged already-retired "This machine is retired already." "$(outcome)"
    return
  fi
  step rest safely rest
  step check see_that_it_rests
  finish_retired ''
}

finish_retired() {
  finish 'done' retired "This machine is retired: its port is closed, and nothing of $app starts on it, also after a boot, before an operator sends $app-prepare-host. A backup can still be taken.$1" "$(outcome)"
}

give_up() {
  local result reason sentence
  take_failure "$1"
  finish "$result" "$reason" "$sentence" "$(outcome)"
  exit 0
}

usual_reason() { echo retire-failed; }

# Once it is written down it is carried to its end; before that nothing had changed.
recover() {
  local reason stopped
  [[ $1 != boot ]] || exit 0 # the boot honours what is written down
  begin_recovery "$1"
  if is_unenrolled; then
    stop_everything
    step check see_that_it_rests
    finish_retired ' It was interrupted, and finished by recovery.'
  else
    finish failed "$reason" "The operation died in step ${stopped:-none}. Nothing was changed." "$(outcome)"
  fi
}

begin_operation "$@"
