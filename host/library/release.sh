#!/bin/bash
# A release on the host: fetched, checked, unpacked as data, prepared, made read-only, named by `current`, kept or removed.
# shellcheck shell=bash disable=SC2154

of_release() { jq -r "$1" "$folder/.understudy/release.json"; }
start_timeout_ms() { of_release '.service.start_timeout_ms // 60000'; }

is_on_host() { [[ -f $state/releases/$short.json ]]; }

download() {
  local found
  if is_on_host; then note 'is on this host already' && return; fi
  store_seconds=$(($(time_left_ms) / 1000)) store s3api get-object --bucket "$(setting bucket)" \
    --key "releases/$app/$environment/$release.tar.gz" "$journal/release.tar.gz" >/dev/null ||
    refuse download-failed "releases/$app/$environment/$release.tar.gz could not be fetched from $(setting bucket)."
  found=$(sha256sum <"$journal/release.tar.gz" | cut -d ' ' -f 1)
  [[ $found == "$release" ]] || refuse bad-digest "The archive's SHA-256 is $found, not $release: it is not the release."
}

# The archive is data until it is seen to be harmless: listed and unpacked by the build user, in a sandbox.
unpack() {
  local total count bad
  if is_on_host; then note 'is on this host already' && check_drift && return; fi
  rm -rf "$folder"
  install -d -m 0755 -o understudy-build "$folder"
  bad=$(in_sandbox build tar --list --verbose --gzip --quoting-style=escape <"$journal/release.tar.gz" | awk '
    /^[^-dl]/ || $1 ~ /[sS]/ || $6 ~ /^\// || $6 ~ /(^|\/)\.\.(\/|$)/ {if (!bad) bad = $0}
    {total += $3; count++}
    END {printf "%d %d %s", total, count, bad}') || refuse bad-release 'The archive cannot be read as tar.gz.'
  read -r total count bad <<<"$bad"
  [[ -z $bad ]] || refuse bad-release "The archive holds what a release may not: $bad"
  ((count <= 200000)) || refuse bad-release "The archive holds $count entries; 200000 are the limit."
  ((total <= $(free_bytes "$home") / 2)) || refuse no-room "Unpacked, the release takes $((total >> 20)) MiB."
  in_sandbox build tar --extract --gzip --no-same-owner --no-same-permissions --directory "$folder" \
    <"$journal/release.tar.gz" || refuse bad-release 'The archive could not be unpacked.'
  check_unpacked
  check_drift
  rm -f "$journal/release.tar.gz"
  note "$count files, $((total >> 10)) KiB"
}

check_unpacked() {
  local link
  while IFS= read -r -d '' link; do
    [[ $(realpath --canonicalize-missing "$link") == "$folder"/* ]] ||
      refuse bad-release "The link ${link#"$folder"/} leads out of the release."
  done < <(find "$folder" -type l -print0)
  [[ -z $(find "$folder" ! -type f ! -type d ! -type l -print -quit) ]] ||
    refuse bad-release 'The archive holds a device, a pipe or a socket.'
  [[ -z $(find "$folder" -perm /6000 -print -quit) ]] || refuse bad-release 'The archive holds a setuid or setgid file.'
  [[ ! -L $folder/.understudy && -f $folder/.understudy/run && -x $folder/.understudy/run ]] ||
    refuse bad-release '.understudy/run is missing or not executable.'
  [[ -f $folder/.understudy/release.json && ! -L $folder/.understudy/release.json &&
    $(of_release '[.schema, .app] | join(" ")') == "1 $app" ]] ||
    refuse bad-release ".understudy/release.json is missing, or is not of $app in schema 1."
}

# What the release wants of the host must be what `prepare-host` laid down: root never believes a release.
check_drift() {
  local wanted found
  wanted=$(of_release '"port=\(.service.listen) user=\(.service.user) switch=\(.service.switch) " +
    "notify=\(.service.notify) workers=\([.workers[]?] | sort | join(",") | if . == "" then "none" else . end)"')
  found=$(jq -r '"port=\(.port) user=\(.user) switch=\(.switch) " +
    "notify=\(.notify) workers=\(.workers | sort | join(",") | if . == "" then "none" else . end)"' "$settings")
  [[ $wanted == "$found" ]] || refuse drift \
    "understudy.yml wants $wanted; this host was prepared with $found. An operator sends the document $app-prepare-host with $wanted."
}

# Build output becomes root's and read-only to the app, whoever made it.
prepare() {
  if is_on_host; then note 'was prepared before' && return; fi
  if [[ -x $folder/.understudy/hooks/prepare ]]; then
    in_sandbox build "$folder/.understudy/hooks/prepare" || fail prepare-failed "The hook prepare ended with code $?."
  else
    note 'no hook'
  fi
  [[ -z $(find "$folder" ! -type f ! -type d ! -type l -print -quit) ]] || fail prepare-failed 'The hook prepare left a device, pipe or socket.'
  chown --recursive --no-dereference root:root "$folder"
  chmod --recursive a-st,go-w,a+rX "$folder"
  jq -c --arg release "$release" '{schema: 1, release: $release, commit, committed}' "$folder/.understudy/release.json" |
    write_whole "$state/releases/$short.json"
}

point_current() {
  ln -sfn "releases/$1" "$home/current.new"
  mv -fT "$home/current.new" "$home/current"
  sync "$home"
}

commit() {
  local schema
  schema=$(schema_below "$(setting user)" "$home/shared")
  jq -c --arg schema "$schema" --argjson deployed "$(now_ms)" --argjson databases "$(present_databases)" \
    '. + {$schema, $deployed, $databases}' "$state/releases/$short.json" | write_whole "$state/releases/$short.json"
  point_current "$short"
  systemctl daemon-reload
  start_workers
}

present_databases() {
  local name
  while IFS= read -r name; do
    if [[ -e $home/shared/$name ]]; then printf '%s\n' "$name"; fi
  done < <(databases) | jq -Rnc '[inputs]'
}

# Keeps the newest releases, never fewer than the live and the one before it, and what they need.
prune() {
  local keep name
  keep=$(of_release '.keep // 5')
  while read -r _ name; do
    case $name in "$short" | "$(fact previous)") continue ;; esac
    rm -rf --one-file-system "$home/releases/$name" "$state/releases/$name.json"
  done < <(for record in "$state"/releases/*.json; do
    printf '%s %s\n' "$(jq -r '.deployed // 0' "$record")" "$(basename "$record" .json)"
  done | sort -rn | tail -n "+$((keep + 1))")
  for name in "$home"/releases/*/; do
    name=$(basename "$name")
    [[ -f $state/releases/$name.json ]] || rm -rf --one-file-system "$home/releases/$name"
  done
  find "$state/backups" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d ' ' -f 2- |
    while IFS= read -r name; do rm -rf --one-file-system "$name"; done
  find "$state/operations" -mindepth 1 -maxdepth 1 -type d -mtime +30 ! -name "$operation" -exec rm -rf {} +
}
