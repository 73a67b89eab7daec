#!/bin/bash
# environment APP [boot]: fills /run/understudy/<app>/env from Parameter Store, /<app>/<environment>/NAME; no
# parameters, no variables. `boot`: the app waits for it, longer when it is known to have parameters; later tries are
# made one at a time, and the first that succeeds has what started without them start again.
set -euo pipefail
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C AWS_PAGER=''
umask 077

app=$1
settings=/etc/understudy/$app.json
state=/var/lib/understudy/$app
runtime=/run/understudy/$app
known=$state/parameters # the names that were there last; never a value
without=$runtime/started-without
region=$(jq -r .region "$settings")
environment=$(jq -r .environment "$settings")
install -d -m 0755 "$runtime"
fresh=$(mktemp -d "$runtime/environment.XXXXXX")
trap 'rm -rf "$fresh"' EXIT

read_parameters() {
  timeout 30 aws --region "$region" --cli-connect-timeout 5 --cli-read-timeout 10 --output json \
    ssm get-parameters-by-path --path "/$app/$environment/" --recursive --with-decryption |
    jq '[.Parameters[]? | {name: (.Name | split("/") | last), value: .Value, version: .Version}
      | select(.name | test("^(?!UNDERSTUDY_|LISTEN_|LD_)[A-Za-z_][A-Za-z0-9_]*$"))]' >"$fresh/parameters"
}

# Seconds for which the app waits at boot. Without known parameters: until the network may be up.
patience() {
  if [[ $1 != boot || -e $without ]]; then echo 0; elif [[ -s $known ]]; then echo 600; else echo 45; fi
}

remember_names() {
  jq -r '.[].name' "$fresh/parameters" >"$fresh/names"
  ! cmp --silent "$fresh/names" "$known" || return 0
  cp "$fresh/names" "$known.new"
  sync "$known.new"
  mv -fT "$known.new" "$known"
}

# Under the host's lock: not while an operation starts and stops units.
restart_app() {
  flock --wait 900 "$state/lock" systemctl --no-block try-restart "$app@*.service" "$app-worker@*.service"
}

seconds=$(patience "${2:-}")
pause=1
until read_parameters; do
  if ((SECONDS >= seconds)); then
    if [[ ${2:-} == boot ]]; then touch "$without"; fi
    exit 1
  fi
  sleep "$pause"
  pause=$((pause < 16 ? pause * 2 : 30))
done
# systemd reads "..." with C-like escapes, over several lines.
jq -r '.[] | "\(.name)=\"\(.value | gsub("(?<special>[\\\\\"$`])"; "\\\(.special)"))\""' "$fresh/parameters" >"$fresh/env"
jq '[.[].value]' "$fresh/parameters" >"$fresh/values"
jq -c 'map({key: .name, value: .version}) | from_entries' "$fresh/parameters" >"$fresh/versions"
mv -f "$fresh/versions" "$runtime/versions.json"
mv -f "$fresh/values" "$runtime/values.json"
mv -f "$fresh/env" "$runtime/env"
remember_names || echo "the names could not be kept in $known" >&2
if [[ ${2:-} == boot && -e $without ]]; then
  if [[ -s $runtime/env ]]; then restart_app; fi
  rm -f "$without"
fi
