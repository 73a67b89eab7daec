#!/bin/bash
# boot APP: before anything of the app starts, at each boot: notes the boot, puts right what dead operations left in
# the data, sees that this is the machine that was enrolled, and has the release that `current` names start. The app's
# units require it: when it fails, none starts.
# shellcheck disable=SC2034,SC2154
set -euo pipefail
app=$1
operation=boot

# include library/base.sh
# include library/enrolment.sh

derived=/run/systemd/generator/multi-user.target.wants
boot=$(</proc/sys/kernel/random/boot_id)

# `boots`: the boot before this one, and this one, by which recovery knows that nobody wrote to the data in between.
# So a boot on which the app could not start does not count: only `passed` ones.
note_boot() {
  [[ $(tail -n 1 "$state/boots" 2>/dev/null) != "$boot" ]] || return 0
  {
    cat "$state/passed" 2>/dev/null || true # none has passed before the first
    printf '%s\n' "$boot"
  } | write_whole "$state/boots"
}

note_passed() { printf '%s\n' "$boot" | write_whole "$state/passed"; }

# Generators run before volumes are mounted: with /srv on one of its own, they saw no release, or an old one.
derive_anew() {
  local other stale=()
  for other in "$derived/$app@"*.service; do
    [[ ! -L $other || $other == "$derived/$app@$1.service" ]] || stale+=("${other##*/}")
  done
  if [[ ${#stale[@]} == 0 ]]; then
    [[ -n $1 && ! -L $derived/$app@$1.service ]] || return 0
  else
    systemctl --no-block stop "${stale[@]}"
  fi
  systemctl daemon-reload
}

# What boots anyway, and what did not because we failed before.
start_live() {
  local worker units=("understudy-check@$app.timer")
  if [[ $(jq -r .switch "/etc/understudy/$app.json") != restart || -e /etc/systemd/system/$app@$1.service.d/socket.conf ]]; then
    units+=("$app.socket")
    [[ -n $1 ]] || units+=("$app-pause.service") # before the first release, users wait where none meets it unchecked
  fi
  if [[ -n $1 ]]; then
    units+=("$app@$1.service")
    for worker in $(jq -r '.workers[]' "/etc/understudy/$app.json"); do units+=("$app-worker@$worker.service"); done
  fi
  systemctl --no-block start "${units[@]}"
}

# A copy of another machine has that one's data and settings, and waits to be enrolled (attack 26).
see_that_it_is_ours() {
  local machine
  machine=$(tell_machine)
  if [[ $machine == another ]]; then set_aside; fi
  if [[ $machine == same ]] && ! is_unenrolled; then
    remember_machine
    if is_asleep; then stop_clockwork; fi
    return
  fi
  stop_clockwork
  case $machine in
  another) echo "$app: this is not the machine $(setting instance) that was enrolled; nothing starts before $app-prepare-host" ;;
  unknown) echo "$app: the instance metadata do not answer, and this is not the machine that $app ran on last; nothing starts" ;;
  same) echo "$app: this machine is enrolled no more, or not yet again; nothing starts before $app-prepare-host" ;;
  esac >&2
  exit 1
}

# Without a note, which a full disk may refuse, recovery puts no data back; the app need not stay down for it.
note_boot || rm -f "$state/boots"
# Who holds the host's lock is in charge of the data and of what runs: an operation, which started us with the app.
if flock --nonblock "$state/lock" true; then
  /usr/local/lib/understudy/recover "$app" boot
  see_that_it_is_ours
  live=$(live_release)
  [[ -d $home/releases/$live ]] || live=''
  derive_anew "$live"
  start_live "$live"
fi
note_passed || rm -f "$state/boots" "$state/passed"
