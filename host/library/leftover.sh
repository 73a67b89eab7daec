#!/bin/bash
# What operations left that died before us.
# shellcheck shell=bash disable=SC2154

# What died before us is put right first, under our lock.
recover_others() {
  local other
  for other in "$state"/operations/*/; do
    other=${other%/}
    if [[ $other != "$journal" && -f $other/journal.jsonl && -f $other/script && ! -f $other/line ]]; then
      UNDERSTUDY_LOCKED=yes /bin/bash "$other/script" recover now >>"$other/log" 2>&1 || true
      refuse_beside "$other"
    fi
  done
}
