#!/bin/bash
# environment APP [SECONDS]: fills /run/understudy/<app>/env from Parameter Store,
# /<app>/<environment>/NAME; no parameters, no variables. It tries again until SECONDS are over.
set -euo pipefail
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C AWS_PAGER=''
umask 077

app=$1
patience=${2:-0}
settings=/etc/understudy/$app.json
runtime=/run/understudy/$app
region=$(jq -r .region "$settings")
environment=$(jq -r .environment "$settings")
install -d -m 0755 "$runtime"

read_parameters() {
  timeout 30 aws --region "$region" --cli-connect-timeout 5 --cli-read-timeout 10 --output json \
    ssm get-parameters-by-path --path "/$app/$environment/" --recursive --with-decryption |
    jq '[.Parameters[]? | {name: (.Name | split("/") | last), value: .Value}
      | select(.name | test("^(?!UNDERSTUDY_|LISTEN_|LD_)[A-Za-z_][A-Za-z0-9_]*$"))]' >"$runtime/parameters.new"
}

# At boot the network may come up after us: the app waits, but not for ever.
until read_parameters; do
  ((SECONDS < patience)) || exit 1
  sleep 2
done
# systemd reads "..." with C-like escapes, over several lines.
jq -r '.[] | "\(.name)=\"\(.value | gsub("(?<special>[\\\\\"$`])"; "\\\(.special)"))\""' \
  "$runtime/parameters.new" >"$runtime/env.new"
jq '[.[].value]' "$runtime/parameters.new" >"$runtime/values.json.new"
rm -f "$runtime/parameters.new"
mv -f "$runtime/values.json.new" "$runtime/values.json"
mv -f "$runtime/env.new" "$runtime/env"
