#!/bin/bash
# A release on the host: fetched, checked, unpacked as data, prepared, made read-only, named by `current`, kept or removed.
# shellcheck shell=bash disable=SC2154

start_timeout_ms() { of_release .service.start_timeout_ms "$@"; }
checks_of() { of_release '.checks[] | tojson' "$@"; }

# Tells what is wrong with a description. Bash would run what a number holds that is none: `a[$(command)]`.
# The `$` in single quotes are jq's.
# shellcheck disable=SC2016
description_problem='
  def plain: type == "string" and length <= 1000 and (test("[\\x00-\\x1f\\x7f]") | not);
  def number: type == "number" and (tostring | test("^[0-9]{1,9}$"));
  def below: plain and length > 0 and (test("^/|(^|/)\\.\\.(/|$)") | not);
  def list(right): type == "array" and length <= 100 and all(.[]; right);
  def check: type == "object" and (.path | plain and startswith("/")) and all(.status, .timeout_ms; number)
    and (.type | . == null or plain) and (.json | . == null or type == "object");
  def want(right; $name): if right then empty else $name end;
  if length != 1 then "it is not one object" else .[0] | [
    want(.schema == 1 and .app == $app; "it is not of \($app) in schema 1"),
    want(.commit | plain; "commit"), want(.committed | plain; "committed"),
    want(.service.listen | number; "service.listen"), want(.service.start_timeout_ms | number; "service.start_timeout_ms"),
    want(all(.service.user, .service.switch; plain); "service"), want(.service.notify | type == "boolean"; "service.notify"),
    want(.workers | list(plain); "workers"), want(.checks | list(check); "checks"),
    want(all(.data.databases, .data.include, .data.exclude; list(below)); "data"), want(.keep | number; "keep")]
    | join(", ") end'

# Reads the description that came with the release, and keeps a copy that only root can change.
keep_description() {
  local source=$folder/.understudy/release.json problem
  [[ -f $source && ! -L $source && -z $(find "$source" -size +255k) ]] ||
    refuse bad-release '.understudy/release.json is missing, or too large.'
  problem=$(jq -rs --arg app "$app" "$description_problem" "$source" 2>/dev/null) || problem='it cannot be read'
  [[ -z $problem ]] || refuse bad-release ".understudy/release.json is not as it should be: $problem."
  jq -c . "$source" | write_whole "$state/releases/$short.description.json"
}

is_on_host() { [[ -f $state/releases/$short.json ]]; }

download() {
  local found key=releases/$app/$environment/$release.tar.gz most size
  if is_on_host; then note 'is on this host already' && return; fi
  most=$(($(fact spare-bytes) / 8 / 1024)) # KiB: unpacked it takes several times that
  (
    trap '' XFSZ # a write beyond it fails, and is told
    ulimit -f "$most"
    store_seconds=$(($(time_left_ms) / 1000)) store s3api get-object --bucket "$(setting bucket)" --key "$key" \
      "$journal/release.tar.gz" >/dev/null
  ) || {
    size=$(stat --format=%s "$journal/release.tar.gz" 2>/dev/null || echo 0)
    ((size / 1024 < most)) ||
      refuse no-room "$home has no room for $key: its archive is larger than $((most >> 10)) MiB, an eighth of what is free beside the data's copies."
    refuse download-failed "$key could not be fetched from $(setting bucket)$(last_words)."
  }
  found=$(sha256sum <"$journal/release.tar.gz" | cut -d ' ' -f 1)
  [[ $found == "$release" ]] || refuse bad-digest "The archive's SHA-256 is $found, not $release: it is not the release."
}

# The archive is data until it is seen to be harmless: listed and unpacked by the build user, in a sandbox.
unpack() {
  local total count bad
  if is_on_host; then note 'is on this host already' && check_drift && return; fi
  rm -rf "$folder"
  install -d -m 0755 -o understudy-build "$folder"
  bad=$(in_sandbox build tar --list --verbose --numeric-owner --gzip --quoting-style=escape <"$journal/release.tar.gz" | awk '
    {name = $0; sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ /, "", name); if (/^l/) sub(/ -> .*/, "", name)}
    /^[^-dl]/ || $1 ~ /[sS]/ || name ~ /^\// || name ~ /(^|\/)\.\.(\/|$)/ {if (!bad) bad = $0}
    {total += $3; count++}
    END {printf "%d %d %s", total, count, bad}') || refuse bad-release 'The archive cannot be read as tar.gz.'
  read -r total count bad <<<"$bad"
  [[ -z $bad ]] || refuse bad-release "The archive holds what a release may not: $bad"
  ((count <= 200000)) || refuse bad-release "The archive holds $count entries; 200000 are the limit."
  ((total <= $(free_bytes "$home") / 2)) || refuse no-room "Unpacked, the release takes $((total >> 20)) MiB."
  in_sandbox build tar --extract --gzip --numeric-owner --no-same-owner --no-same-permissions --directory "$folder" \
    <"$journal/release.tar.gz" || refuse bad-release 'The archive could not be unpacked.'
  check_unpacked
  keep_description
  check_drift
  rm -f "$journal/release.tar.gz"
  note "$count files, $((total >> 10)) KiB"
}

check_unpacked() {
  local link
  while IFS= read -r -d '' link; do
    # A link that leads back to itself with more behind it keeps realpath at it for ever.
    [[ $(timeout 5 realpath --canonicalize-missing "$link") == "$folder"/* ]] ||
      refuse bad-release "The link ${link#"$folder"/} leads out of the release."
  done < <(find "$folder" -type l -print0)
  [[ -z $(find "$folder" ! -type f ! -type d ! -type l -print -quit) ]] ||
    refuse bad-release 'The archive holds a device, a pipe or a socket.'
  [[ -z $(find "$folder" -perm /6000 -print -quit) ]] || refuse bad-release 'The archive holds a setuid or setgid file.'
  [[ ! -L $folder/.understudy && -f $folder/.understudy/run && -x $folder/.understudy/run ]] ||
    refuse bad-release '.understudy/run is missing or not executable.'
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
  seal_release
}

# From here on it is root's, and a record says that all of it is on the disk.
seal_release() {
  [[ -z $(find "$folder" ! -type f ! -type d ! -type l -print -quit) ]] || fail prepare-failed 'The release holds a device, pipe or socket after it was prepared.'
  chown --recursive --no-dereference root:root "$folder"
  chmod --recursive a-st,go-w,a+rX "$folder"
  sync --file-system "$folder"
  jq -c --arg release "$release" '{schema: 1, release: $release, commit, committed}' "$state/releases/$short.description.json" |
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
    --argjson parameters "$(versions)" '. + {$schema, $deployed, $databases, $parameters}' "$state/releases/$short.json" | write_whole "$state/releases/$short.json"
  point_current "$short"
  systemctl daemon-reload
  be_alone 0
}

present_databases() {
  local name
  while IFS= read -r name; do
    if [[ -e $home/shared/$name ]]; then printf '%s\n' "$name"; fi
  done < <(databases) | jq -Rnc '[inputs]'
}

# What is left over does no harm: it never undoes a deploy.
prune() { remove_old || note 'Not all that is old could be removed; the next deploy tries again.'; }

# The releases on this host, newest first: when each was deployed last, in milliseconds or 0, and its 12 digits.
releases_by_age() {
  local record
  for record in "$state"/releases/????????????.json; do
    [[ ! -f $record ]] || jq -r --arg short "$(basename "$record" .json)" '"\(.deployed // 0) \($short)"' "$record"
  done | sort -rn
}

# Keeps the newest releases, never fewer than the live and the one before it, and what they need. Of the others, only on which
# schema they ran: they may be fetched again.
remove_old() {
  local keep name code=0
  keep=$(of_release .keep) || return 1
  install -d -m 0700 "$state/formerly" || return 1
  while read -r _ name; do
    [[ $name =~ ^[0-9a-f]{12}$ && $name != "$short" && $name != "$(fact previous)" ]] || continue
    # The record first: without it a folder is none.
    { mv -fT "$state/releases/$name.json" "$state/formerly/$name.json" && rm -rf --one-file-system "$home/releases/$name"; } || code=1
  done < <(releases_by_age | tail -n "+$((keep + 1))")
  for name in "$home"/releases/*/ "$state"/releases/*.description.json; do
    name=$(basename "$name" .description.json)
    [[ -f $state/releases/$name.json ]] ||
      rm -rf --one-file-system "$home/releases/$name" "$state/releases/$name.description.json" || code=1
  done
  while IFS= read -r name; do rm -rf --one-file-system "$name" || code=1; done < <(
    find "$state/backups" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d ' ' -f 2-
  )
  find "$state/formerly" -name '*.json' -mtime +400 -delete || code=1
  remove_old_operations || code=1
  return "$code"
}
