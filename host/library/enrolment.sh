#!/bin/bash
# Whether this machine is the one that was enrolled (attack 26), and what becomes of one that is not, or is no more.
# shellcheck shell=bash disable=SC2154

# While this file is there nothing of the app starts, at no boot: prepare-host takes it away.
unenrolled=$state/unenrolled

is_unenrolled() { [[ -f $unenrolled ]]; }

# While this file is there no backup was restored yet on a copy that is to take another machine's place: what its image held of the
# app is old, so no release is live, and what runs by the clock does not. A restore, or an operator's prepare-host, takes it away.
asleep=$state/asleep

is_asleep() { [[ -f $asleep ]]; }

fall_asleep() {
  : | write_whole "$asleep"
  rm -f "$home/current"
  sync "$home"
}

wake_up() {
  is_asleep || return 0
  rm "$asleep"
  start_clockwork
}

# same, another or unknown. The board of today's instances says which one it is, with no network; others have an own number.
tell_machine() {
  local recorded found board=${UNDERSTUDY_BOARD:-/sys/class/dmi/id} until
  recorded=$(setting instance)
  if [[ $(cat "$board/board_asset_tag" 2>/dev/null) == "$recorded" ]]; then echo same && return; fi
  until=$(($(uptime_ms) + ${UNDERSTUDY_PATIENCE:-60} * 1000))
  until found=$(instance_id); do
    (($(uptime_ms) < until)) || break
    sleep 1
  done
  if [[ $found == "$recorded" ]]; then
    echo same
  elif [[ -n $found ]]; then
    echo another
  # Production must come up also while the metadata do not answer: on the machine that it ran on last.
  elif [[ $(cat "$state/machine" 2>/dev/null) == "$(machine_number)" ]]; then
    echo same
  else
    echo unknown
  fi
}

machine_number() {
  cat "${UNDERSTUDY_BOARD:-/sys/class/dmi/id}/product_uuid" 2>/dev/null || true # not every machine has one
}

remember_machine() {
  [[ -f $state/machine && $(<"$state/machine") == "$(machine_number)" ]] || machine_number | write_whole "$state/machine"
}

# What an operator laid on the machine to run by the clock: it is not ours, and must not run on a copy either.
clockwork() {
  local timer
  printf '%s\n' cron.service crond.service atd.service anacron.service anacron.timer
  for timer in /etc/systemd/system/*.timer; do
    timer=${timer##*/}
    [[ ! -f /etc/systemd/system/$timer || $timer == understudy-* || $timer == *@.timer ]] || printf '%s\n' "$timer"
  done
}

# Also what is only about to start: it waits for us at boot.
stop_clockwork() {
  local one
  while IFS= read -r one; do systemctl --no-block stop "$one" 2>/dev/null || true; done < <(clockwork) # few hosts have all of them
}

start_clockwork() {
  local one
  while IFS= read -r one; do
    if systemctl --quiet is-enabled "$one" 2>/dev/null; then systemctl --no-block start "$one"; fi
  done < <(clockwork)
}

# Nothing of the app runs from here on; most of these units are not there, and who relies on it looks what is still up. Users are
# refused: whoever waited here would wait for a machine that does not come back.
stop_everything() {
  systemctl stop "understudy-check@$app.timer" "$app.socket" "$app-pause.service" "$app-probe@*.socket" "$app@*.service" \
    "$app-worker@*.service" "$app-rehearse@*.socket" "$app-rehearse@*.service" 2>/dev/null || true
  stop_clockwork
}

lay_to_rest() { # copy|retired
  jq -nc --arg why "$1" --arg was "$(setting instance)" --arg environment "$(setting environment)" --arg machine "$(cat /etc/machine-id 2>/dev/null)" \
    --argjson at "$(now_ms)" '{$why, $was, $environment, $machine, $at}' | write_whole "$unenrolled"
}

# What the other machine was told is not ours: its operations would be taken for done, its fence for passed. As often as it takes.
set_aside() {
  local aside one
  [[ $(jq -r .why "$unenrolled" 2>/dev/null) == copy ]] || lay_to_rest copy
  aside=$state/was-$(jq -r .was "$unenrolled")
  install -d -m 0700 "$aside" "$aside/operations"
  for one in "$state"/operations/*; do
    [[ ! -e $one ]] || is_running "understudy-$app-${one##*/}.service" || mv -f -t "$aside/operations" "$one"
  done
  for one in "$state"/{last,boots,passed,fence,checks,machine}; do
    [[ ! -e $one ]] || mv -f -t "$aside" "$one"
  done
  if [[ $(cat /etc/machine-id) == "$(jq -r .machine "$unenrolled")" ]]; then new_machine_id; fi
  sync "$state"
}

# Not by systemd-machine-id-setup, which a container gives the old one. The journal is kept, and looked for, by it.
new_machine_id() {
  local id place
  id=$(</proc/sys/kernel/random/uuid)
  for place in /var/lib/dbus/machine-id /etc/machine-id; do
    [[ ! -f $place || -L $place ]] || printf '%s\n' "${id//-/}" | write_whole "$place" 0444
  done
  systemctl try-restart systemd-journald.service || true # it may only be about to start, and then reads the new id
}
