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
