#!/bin/bash
# Deploys one release: rehearsed on a copy of the data before any user meets it, and taken back when it fails.
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

action=deploy

check_room() {
  local total databases
  read -r total databases < <(data_bytes)
  require_room "$((total + databases * 3 + 64 * 1024 * 1024))"
  check_memory
}

check_schema() {
  local now
  now=$(schema_below "$(setting user)" "$home/shared")
  [[ $now == "$(fact schema-before)" ]] ||
    fail schema-changed 'The schema of the live data changed during the rehearsal: deploy again.'
}

# Nobody writes from here on: the old release and the workers stop, the port is held open, and the data is kept as it
# is at that moment, until it may be put back.
hold_still() {
  rest_workers
  hold
  back_up_databases "$backup/kept" quick_check
  keep_fact kept yes
}

# Live data changes from here on. Under `overlap` the old release serves on meanwhile.
migrate() {
  if [[ $(manner) == overlap ]]; then rest_workers; fi
  keep_fact migrating yes
  if [[ -x $folder/.understudy/hooks/migrate ]]; then
    in_sandbox live "$folder/.understudy/hooks/migrate" || fail migrate-failed "The hook migrate ended with code $? on the live data."
  else
    note 'no hook'
  fi
  keep_fact migrated yes
}

usual_reason() {
  case $1 in
  prepare) echo prepare-failed ;;
  backup | copy) echo backup-failed ;;
  rehearse-migrate | migrate) echo migrate-failed ;;
  schema) echo schema-changed ;;
  check | rehearse) echo check-failed ;;
  *) echo switch-failed ;;
  esac
}

work() {
  begin_takeover
  if [[ ${data:-any} == same ]]; then step fits safely check_fits; fi
  begin_environment
  step room safely check_room
  step download safely download
  step unpack safely unpack
  step prepare safely prepare
  step backup safely back_up
  step copy safely copy_data
  if has_fact memory-short; then step hold safely hold_still; fi
  step rehearse-migrate safely rehearse_migrate
  step rehearse safely rehearse
  step schema safely check_schema
  if [[ $(manner) != overlap ]] && ! has_fact held; then step hold safely hold_still; fi
  step migrate safely migrate
  take_over
}

finish_live() {
  local previous
  previous=$(fact previous)
  finish 'done' deployed "Release $short is live${previous:+ in place of $previous}.$1$(tell_memory)" "$(outcome true)"
}

tell_memory() {
  if has_fact memory-short; then
    printf ' %s: the port was held from before the rehearsal, and requests waited.' "$(fact memory-short)"
  fi
}

begin_operation "$@"
