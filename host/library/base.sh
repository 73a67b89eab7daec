#!/bin/bash
# Where things are, the host's lock, users, units and the store: what every host script stands on. It runs as root, from the
# SSM agent (no HOME, cwd /usr/bin) or from systemd. The parameters (app, environment, operation, timeout, ...) are assigned
# above, by src/document/compose.ts.
# shellcheck shell=bash disable=SC2154

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C AWS_PAGER='' AWS_MAX_ATTEMPTS=4
# The CLI asks the metadata for credentials once, and waits a second: on a busy host that is too little.
export AWS_METADATA_SERVICE_TIMEOUT=5 AWS_METADATA_SERVICE_NUM_ATTEMPTS=2
umask 077
cd /

settings=/etc/understudy/$app.json
home=/srv/$app
state=/var/lib/understudy/$app
runtime=/run/understudy/$app
journal=$state/operations/$operation
unit=understudy-$app-$operation.service
installed=/usr/local/lib/understudy

now_ms() {
  local microseconds=${EPOCHREALTIME/./}
  printf '%s' "$((microseconds / 1000))"
}

# For what lasts: the time of day may be set while an operation is at work. In milliseconds since the machine's boot.
uptime_ms() {
  local uptime
  read -r uptime _ </proc/uptime
  printf '%s' "$((10#${uptime/./}0))"
}

say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }

# Replaces a file as a whole: after a power cut it is the old one or the new one.
write_whole() {
  local target=$1 mode=${2:-0600}
  cat >"$target.new"
  chmod "$mode" "$target.new"
  sync "$target.new"
  mv -fT "$target.new" "$target"
  sync "$(dirname "$target")"
}

# Adds a line to a file; a power cut may have torn the last one, which ours does not join.
append_line() {
  if [[ -n $(tail -c 1 "$1" 2>/dev/null) ]]; then printf '\n' >>"$1"; fi
  printf '%s\n' "$2" >>"$1"
}

lock_host() {
  exec 9>>"$state/lock"
  if ! flock --wait "${1:-0}" 9; then
    return 1
  fi
  printf '%s\n' "$operation" >"$state/lock"
}

# The operation that runs now, or nothing. It looks and does not lock: `probe` changes nothing.
running_operation() {
  local holder
  holder=$(head -n 1 "$state/lock" 2>/dev/null || true)
  if [[ -n $holder ]] && is_running "understudy-$app-$holder.service"; then
    printf '%s' "$holder"
  fi
}

# What prepare-host wrote down, read once: it is asked for a hundred times in a deploy.
declare -A settings_read=()
read_settings() {
  local name value
  [[ -f $settings ]] || return 0
  while IFS='=' read -r name value; do settings_read[$name]=$value; done < <(
    jq -r 'to_entries[] | "\(.key)=\(.value | if type == "array" then join(" ") else . end)"' "$settings"
  )
}
read_settings

setting() { printf '%s\n' "${settings_read[$1]-}"; }

# Runs a command as a user who can gain nothing more: all that touches an app's data runs so (attack 6). It gets no
# descriptor of the host's lock, which whoever holds it can open. `enter` may name a command that changes namespaces first.
enter=()
as_user() {
  local user=$1
  shift
  "${enter[@]}" setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --no-new-privs \
    --inh-caps=-all --bounding-set=-all \
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/nonexistent LC_ALL=C "$@" 9>&-
}

# What stands behind the @ in the name of a service: of an app's, its release.
behind_at() {
  local name=${1##*@}
  printf '%s' "${name%.service}"
}

unit_state() { systemctl show --property "$2" --value "$1"; }

is_running() { [[ $(unit_state "$1" ActiveState) =~ ^(active|activating|reloading|deactivating)$ ]]; }

# A slow or a failed answer is not the last word: three are waited for, 5 seconds each.
ask_metadata() {
  curl -q --silent --fail --max-time 5 --retry 2 --retry-delay 1 --retry-connrefused --noproxy '*' "$@"
}

instance_id() {
  local at=http://169.254.169.254/latest token
  token=$(ask_metadata --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$at/api/token") || return 1
  ask_metadata --header "X-aws-ec2-metadata-token: $token" "$at/meta-data/instance-id"
}

store() {
  timeout --foreground --kill-after=5 "${store_seconds:-300}" aws --region "$(setting region)" \
    --cli-connect-timeout 5 --cli-read-timeout 60 "$@"
}

# Puts an object that must not exist yet.
put_once() {
  store s3api put-object --bucket "$(setting bucket)" --key "$2" --body "$1" --if-none-match '*' \
    --content-type "$3" >/dev/null
}

# The first of the places that operations write to whose volume is read-only, or nothing.
read_only_place() {
  local place
  for place in "$home" "$home"/releases "$state" "$state"/{operations,releases,backups,rehearsal}; do
    [[ ! -e $place || -w $place ]] || { printf '%s' "$place" && return; }
  done
}

free_bytes() { df --output=avail --block-size=1 "$1" | tail -n 1; }

seconds_of() { printf '%d.%03d' "$(($1 / 1000))" "$(($1 % 1000))"; }

# The processes that listen on a port, in the words of ss; nothing, and no failure, where there is none.
holder_of() {
  ss --no-header --listening --tcp --numeric --processes "sport = :$1" | { grep -o 'users:.*' || true; } | head -n 1
}

# Several properties, one a line, in the order asked for.
unit_states() {
  local of=$1 property value
  local -A found=()
  shift
  while IFS='=' read -r property value; do found[$property]=$value; done < <(systemctl show "${@/#/--property=}" "$of")
  for property in "$@"; do printf '%s\n' "${found[$property]:-}"; done
}

live_release() {
  local name
  name=$(readlink "$home/current" 2>/dev/null) || return 0
  name=${name##*/}
  if [[ $name =~ ^[0-9a-f]{12}$ ]]; then
    printf '%s' "$name"
  fi
}

# What a release says of itself, from root's own copy: of_release FILTER [RELEASE]. The file in the release's folder is
# the build user's while `prepare` runs, and is read once, before that.
of_release() { jq -r "$1" "$state/releases/${2:-$short}.description.json"; }

# Between two lines of the check log; a file of root's may say otherwise, for hosts of tests.
beat_seconds() { cat /etc/understudy/beat-seconds 2>/dev/null || echo 60; }

has_socket() { [[ $(setting switch) != restart ]]; }
