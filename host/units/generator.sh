#!/bin/bash
# A systemd generator: derives from the link `current`, the one truth, which release owns the public port and
# starts at boot. Runs at boot, before volumes are mounted (see boot.sh), and at each daemon-reload.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

want() { # UNIT TEMPLATE TARGET
  mkdir -p "$out/$3.wants"
  ln -sf "/etc/systemd/system/$2" "$out/$3.wants/$1"
}

out=$1
for settings in /etc/understudy/*.json; do
  [[ -f $settings ]] || continue
  app=$(basename "$settings" .json)
  # One app's settings that cannot be read must not keep the others from starting.
  words=$(jq -r 'select(.switch | IN("pause", "overlap", "restart")) | [.switch, .workers[]] | join(" ")' "$settings") || words=''
  if [[ -z $words ]]; then
    echo "understudy: $settings cannot be read, so nothing of $app is started" >&2
    continue
  fi
  read -r switch workers <<<"$words"
  want "understudy-boot@$app.service" understudy-boot@.service multi-user.target
  [[ ! -e /var/lib/understudy/$app/unenrolled ]] || continue
  live=$(readlink "/srv/$app/current" || true)
  live=${live##*/}
  [[ $live =~ ^[0-9a-f]{12}$ && -d /srv/$app/releases/$live ]] || live=''
  # Also under `restart`, while the live release is one that was made for a socket: see prepare-host.
  if [[ $switch != restart || (-n $live && -e /etc/systemd/system/$app@$live.service.d/socket.conf) ]]; then
    service=$app-pause.service # before the first release, requests wait
    [[ -z $live ]] || service=$app@$live.service
    mkdir -p "$out/$app.socket.d"
    printf '[Socket]\nService=%s\n' "$service" >"$out/$app.socket.d/live.conf"
    want "$app.socket" "$app.socket" sockets.target
  fi
  want "understudy-recover@$app.service" understudy-recover@.service multi-user.target
  want "understudy-check@$app.timer" understudy-check@.timer timers.target
  [[ -n $live ]] || continue
  want "$app@$live.service" "$app@.service" multi-user.target
  for worker in $workers; do
    want "$app-worker@$worker.service" "$app-worker@.service" multi-user.target
  done
  mkdir -p "$out/$app-worker@.service.d"
  printf '[Service]\nEnvironment=UNDERSTUDY_RELEASE=%s\n' "$live" >"$out/$app-worker@.service.d/live.conf"
done
