#!/bin/bash
# Takes the app back to an earlier release: the same switch as a deploy's, and nothing beside it, for users wait for it. No
# migration runs and no data is touched: the live data must have the schema that the release ran on, unless told to keep it.
# shellcheck shell=bash disable=SC2154

# include library/base.sh
# include library/journal.sh
# include library/result.sh
# include library/watch.sh
# include library/guard.sh
# include library/release.sh
# include library/sandbox.sh
# include library/data.sh
# include library/rehearsal.sh
# include library/health.sh
# include library/switch.sh
# include library/takeover.sh
# include library/recovery.sh
# include library/leftover.sh

action=rollback

# Only by overlap are two releases ever up at once.
check_room() {
  require_room "$((64 * 1024 * 1024))"
  if [[ $(setting switch) == overlap ]]; then check_memory; fi
}

# From here on users wait, but by overlap.
hold_users() {
  remember_schema
  rest_workers
  if [[ $(manner) != overlap ]]; then hold; fi
}

usual_reason() {
  case $1 in
  prepare) echo prepare-failed ;;
  check) echo check-failed ;;
  *) echo switch-failed ;;
  esac
}

work() {
  begin_takeover
  step room safely check_room
  step download safely download
  step unpack safely unpack
  if [[ $data == same ]]; then step fits safely check_fits; fi
  step prepare safely prepare
  step hold safely hold_users
  take_over
}

finish_live() {
  local previous
  previous=$(fact previous)
  finish 'done' rolled-back "Release $short is live again${previous:+ in place of $previous}, on the data as it is.$1" "$(outcome true)"
}

begin_operation "$@"
