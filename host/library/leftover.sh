#!/bin/bash
# What operations left that died before us.
# shellcheck shell=bash disable=SC2154

# What died before us is put right first, under our lock.
recover_others() {
  local other
  for other in "$state"/operations/*/; do
    other=${other%/}
    if [[ $other != "$journal" && -f $other/journal.jsonl && -f $other/script && ! -f $other/line ]] && ! is_waiting "$other"; then
      UNDERSTUDY_LOCKED=yes /bin/bash "$other/script" recover now >>"$other/log" 2>&1 || true
      refuse_beside "$other"
    fi
  done
}

# A backup that waits for the lock has done nothing yet, and lives.
is_waiting() { [[ -e $1/waits ]] && is_running "understudy-$app-${1##*/}.service"; }

# One that had begun and was not put right may still be, and would then undo what we do.
refuse_beside() {
  if [[ ! -f $1/line ]] && grep -q '"fact":"previous"' "$1/journal.jsonl"; then
    finish refused busy "Operation ${1##*/} died on this host, and what it left could not be put right: see $1/log." "$(outcome false '')"
    exit 0
  fi
}

# How every recovery begins, under the host's lock: the caller's `stopped` is the step that the operation died in, `reason`
# why it did.
begin_recovery() { # STAGE
  if [[ -z ${UNDERSTUDY_LOCKED:-} ]]; then
    lock_host 60 || { say "recovery ($1): another operation holds the host's lock" && exit 75; }
  fi
  # Whoever had the lock put this right meanwhile.
  [[ ! -f $journal/line ]] || exit 0
  drop_ballast
  stopped=$(current_step)
  reason=interrupted
  # Its time counts from the boot that it ran in.
  [[ $(fact boot) != "$(</proc/sys/kernel/random/boot_id)" ]] || (($(time_left_ms) > 0)) || reason=timed-out
  say "recovery ($1): died in step $stopped"
}
