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
# include library/recovery.sh
# include library/leftover.sh

action=deploy
short=${release:0:12}
folder=$home/releases/$short
backup=$state/backups/$operation
copy=$state/rehearsal/$short

check_room() {
  local total databases need free place spare=''
  read -r total databases < <(data_bytes)
  need=$((total + databases * 3 + 64 * 1024 * 1024))
  place=$(read_only_place)
  [[ -z $place ]] || refuse read-only "$place cannot be written: its volume is read-only."
  for place in "$home" "$state"; do
    free=$(free_bytes "$place")
    ((free >= need)) || refuse no-room "$place has $((free >> 20)) MiB free, and a deploy needs about $((need >> 20)) MiB beside the release."
    if [[ -z $spare ]] || ((free - need < spare)); then spare=$((free - need)); fi
  done
  keep_fact spare-bytes "$spare" # for the release: see download
  check_memory
  lay_ballast
  note "needs about $((need >> 20)) MiB of $((free >> 20)) MiB, beside the release"
}

# The rehearsal runs beside the live release: as much memory again must be there. Where it is not, a port that can be
# held is held from before the rehearsal, and no two releases are ever up at once.
check_memory() {
  local previous main used free told
  previous=$(fact previous)
  [[ -n $previous ]] || return 0
  main=$(unit_state "$app@$previous.service" MainPID)
  ((main > 0)) || return 0
  used=$(ps -o rss= --pid "$main" --ppid "$main" | awk '{sum += $1} END {print sum + 0}')
  free=$(awk '$1 == "MemAvailable:" {print $2}' /proc/meminfo)
  ((free < used)) || return 0
  told="The live release takes $((used >> 10)) MiB, and only $((free >> 10)) MiB are free for another beside it"
  has_socket || refuse no-memory "$told."
  keep_fact memory-short "$told"
}

# An earlier release goes back to the data that it knew: with another schema only a restore can pair the two.
check_fits() {
  local known now
  known=$(jq -r '.schema // ""' "$state/releases/$short.json" 2>/dev/null) || known=''
  [[ -n $known ]] || refuse data-changed "This host does not know on which schema release $short ran, so it was not put back."
  now=$(schema_below "$(setting user)" "$home/shared")
  [[ $now == "$known" ]] || refuse data-changed "The schema of the live data is not the one that release $short ran on, so it was not put back."
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
}

rest_workers() {
  keep_fact workers-stopped yes
  stop_workers
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

# Under its users for some seconds, it must not have died, and answer every check once more (attacks 1 and 2): only
# then the workers go over to it.
watch_users() {
  local of=$app@$short.service until latest
  until=$(($(fact exposed) + $(watched_ms)))
  # What was on its way to start when the socket became ours comes up after it: no verdict before that (attack 2).
  latest=$(($(uptime_ms) + $(fact load-ms) + 200))
  ((until >= latest)) || until=$latest
  while lives_on "$of" && (($(uptime_ms) < until)); do sleep 0.2; done
  if lives_on "$of"; then await_healthy public "$of" 10000; fi
  lives_on "$of" || fail_start "$of" 'was healthy, and ended soon after under its users'
  be_alone 0
  start_workers
}

# The fields of the result that a deploy adds: outcome HEALTHY RELEASE-NOW-LIVE
outcome() {
  local wait_ms down_ms
  read -r wait_ms down_ms < <(users_times)
  jq -nc --arg release "$short" --arg previous "$(fact previous)" --argjson healthy "$1" --argjson met "$(has_fact exposed && echo true || echo false)" \
    --argjson wait_ms "$wait_ms" --argjson down_ms "$down_ms" '{$release, $previous, $met, $healthy, $wait_ms, $down_ms}'
}

# A step failed: refused when nothing changed, else what was done is put back.
give_up() {
  local result reason sentence
  take_failure "$1"
  if [[ $result == refused ]]; then
    remove_copy
    finish refused "$reason" "$sentence" "$(outcome false '')"
  else
    put_back
    conclude_put_back "$reason" "$sentence"
  fi
  exit 0
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
  # systemd takes death by SIGTERM for a success, and then no recovery follows.
  trap 'exit 143' TERM
  install -d -m 0700 "$state/releases"
  if ! take_host; then
    finish refused busy "Operation $(head -n 1 "$state/lock") is at work on this host." "$(outcome false '')"
    return
  fi
  recover_others
  keep_fact started "$(uptime_ms)"
  keep_fact previous "$(live_release)"
  keep_fact boot "$(</proc/sys/kernel/random/boot_id)"
  step lock safely take_lock
  if [[ $(live_release) == "$short" ]]; then
    already_live
    return
  fi
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
  step switch switch
  step check check_public
  step current commit
  step watch watch_users
  step prune prune
  finish_deployed ''
}

finish_deployed() {
  local previous
  previous=$(fact previous)
  finish 'done' deployed "Release $short is live${previous:+ in place of $previous}.$1$(tell_memory)" "$(outcome true)"
}

tell_memory() {
  if has_fact memory-short; then
    printf ' %s: the port was held from before the rehearsal, and requests waited.' "$(fact memory-short)"
  fi
}

already_live() {
  on_failure=tell_unhealthy
  step check await_healthy public "$app@$short.service" 10000
  finish unchanged already-live "Release $short is live and healthy; nothing was restarted." "$(outcome true)"
}

tell_unhealthy() {
  finish failed check-failed "Release $short was live already and is not healthy; nothing was changed. $(failure sentence)" \
    "$(outcome false "$short")"
  exit 0
}

begin_operation "$@"
