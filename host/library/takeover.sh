#!/bin/bash
# One release in place of another, as deploy and rollback do it: how it begins, what must be there, and how it gives up.
# shellcheck shell=bash disable=SC2154

short=${release:0:12}
folder=$home/releases/$short
backup=$state/backups/$operation
copy=$state/rehearsal/$short

# Ends the operation where there is nothing to be done.
begin_takeover() {
  # systemd takes death by SIGTERM for a success, and then no recovery follows.
  trap 'exit 143' TERM
  install -d -m 0700 "$state/releases"
  if ! take_host; then
    finish refused busy "Operation $(head -n 1 "$state/lock") is at work on this host." "$(outcome false '')"
    exit 0
  fi
  recover_others
  keep_fact started "$(uptime_ms)"
  keep_fact previous "$(live_release)"
  keep_fact boot "$(</proc/sys/kernel/random/boot_id)"
  step lock safely take_lock
  if [[ $(live_release) == "$short" ]]; then
    already_live
    exit 0
  fi
}

# From here on users may meet it.
take_over() {
  step switch switch
  step check check_public
  step current commit
  step watch watch_users
  step prune prune
  finish_live ''
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

# Bytes that must be free beside the release.
require_room() {
  local need=$1 free place spare=''
  place=$(read_only_place)
  [[ -z $place ]] || refuse read-only "$place cannot be written: its volume is read-only."
  for place in "$home" "$state"; do
    free=$(free_bytes "$place")
    ((free >= need)) || refuse no-room "$place has $((free >> 20)) MiB free, and a $action needs about $((need >> 20)) MiB beside the release."
    if [[ -z $spare ]] || ((free - need < spare)); then spare=$((free - need)); fi
  done
  keep_fact spare-bytes "$spare" # for the release: see download
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
  known=$(known_schema)
  now=$(schema_below "$(setting user)" "$home/shared")
  [[ $now != "$known" ]] || return 0
  keep_fact rows "$(live_rows "$(fact previous)")"
  [[ -n $known ]] || refuse data-changed "This host does not know on which schema release $short ran, so it was not put back: the live data's begins with ${now:0:8}."
  refuse data-changed "The schema of the live data is not the one that release $short ran on, so it was not put back: it begins with ${now:0:8}, and the release's with ${known:0:8}."
}

# The schema that the release ran on last on this host, also where it is not kept here any more, or nothing.
known_schema() {
  local record
  for record in "$state"/{releases,formerly}/"$short.json"; do
    ! jq -er --arg release "$release" 'select(.release == $release) | .schema // empty' "$record" 2>/dev/null || return 0
  done
}

rest_workers() {
  keep_fact workers-stopped yes
  stop_workers
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

# The fields of the result: outcome HEALTHY RELEASE-NOW-LIVE. The rows of the live data, where it keeps a release away.
outcome() {
  local wait_ms down_ms rows
  rows=$(fact rows)
  read -r wait_ms down_ms < <(users_times)
  jq -nc --arg release "$short" --arg previous "$(fact previous)" --argjson healthy "$1" --argjson met "$(has_fact exposed && echo true || echo false)" \
    --argjson wait_ms "$wait_ms" --argjson down_ms "$down_ms" --argjson rows "${rows:-null}" \
    '{$release, $previous, $met, $healthy, $wait_ms, $down_ms} + if $rows == null then {} else {$rows} end'
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
