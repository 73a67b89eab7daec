#!/bin/bash
# Deploys one release: rehearsed on a copy of the data before any user meets it, and taken back when it fails.
# shellcheck shell=bash disable=SC2154

action=deploy
short=${release:0:12}
folder=$home/releases/$short
backup=$state/backups/$operation
copy=$state/rehearsal/$short

of_release() { jq -r "$1" "$folder/.understudy/release.json"; }
start_timeout_ms() { of_release '.service.start_timeout_ms // 60000'; }

# ---- what is refused, with nothing changed ----------------------------------------------------------------

check_host() {
  local instance
  [[ $(setting environment) == "$environment" ]] ||
    refuse wrong-host "This host was prepared for $app in $(setting environment), not in $environment."
  instance=$(instance_id) || refuse wrong-host 'The instance metadata does not answer, so this host cannot be told.'
  [[ $instance == "$(setting instance)" ]] ||
    refuse wrong-host "This host is $instance, but was prepared as $(setting instance): enrol it with $app-prepare-host."
}

# The fencing number belongs to environment and instance: a machine made from an image starts anew (attack 26).
check_fence() {
  local seen=0
  if [[ -f $state/fence ]]; then
    seen=$(jq -r --arg environment "$environment" --arg instance "$(setting instance)" \
      'if .environment == $environment and .instance == $instance then .fence else 0 end' "$state/fence")
  fi
  ((fence >= seen)) ||
    refuse stale-fence "This command carries fencing number $fence, but $seen was seen: a newer holder has the lease."
  jq -nc --arg environment "$environment" --arg instance "$(setting instance)" --argjson fence "$fence" \
    '{$environment, $instance, $fence}' | write_whole "$state/fence"
}

has_socket() { [[ $(setting switch) != restart ]]; }

check_socket() {
  if has_socket && ! systemctl --quiet is-active "$app.socket"; then
    refuse socket-inactive "$app.socket is $(unit_state "$app.socket" ActiveState), so the port is closed: an operator sends $app-prepare-host, which opens it."
  fi
}

take_lock() {
  check_host
  check_fence
  check_socket
}

free_bytes() { df --output=avail --block-size=1 "$1" | tail -n 1; }

# Bytes of the app's data; the databases, which are copied three times, apart.
data_bytes() {
  [[ -d $home/shared ]] || { echo '0 0' && return; }
  as_user "$(setting user)" find "$home/shared" -type f -printf '%s %p\n' 2>/dev/null |
    awk '{total += $1; if ($2 ~ /\.(db|sqlite3?|db3)(-wal)?$/) databases += $1} END {printf "%d %d\n", total, databases}'
}

check_room() {
  local archive total databases need free
  if [[ -d $folder && -f $state/releases/$short.json ]]; then
    archive=0
  else
    archive=$(store s3api head-object --bucket "$(setting bucket)" --key "releases/$app/$environment/$release.tar.gz" \
      --query ContentLength --output text) ||
      refuse download-failed "releases/$app/$environment/$release.tar.gz cannot be read from $(setting bucket)."
  fi
  keep_fact archive-bytes "$archive"
  read -r total databases < <(data_bytes)
  need=$((archive * 8 + total + databases * 3 + 64 * 1024 * 1024))
  for place in "$home" "$state"; do
    free=$(free_bytes "$place")
    ((free >= need)) || refuse no-room "$place has $((free >> 20)) MiB free, and this release needs about $((need >> 20)) MiB."
  done
  check_memory
  note "needs about $((need >> 20)) MiB of $((free >> 20)) MiB"
}

# The rehearsal runs beside the live release: as much memory again must be there.
check_memory() {
  local previous main used free
  previous=$(fact previous)
  [[ -n $previous ]] || return 0
  main=$(unit_state "$app@$previous.service" MainPID)
  ((main > 0)) || return 0
  used=$(ps -o rss= --pid "$main" --ppid "$main" | awk '{sum += $1} END {print sum + 0}')
  free=$(awk '$1 == "MemAvailable:" {print $2}' /proc/meminfo)
  ((free >= used)) || refuse no-memory \
    "The live release takes $((used >> 10)) MiB, and only $((free >> 10)) MiB are free for another beside it."
}

# ---- download, unpack, prepare ----------------------------------------------------------------------------

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

# Runs a command of the release or on it: in_sandbox build|copy|live COMMAND...  It dies with the operation's unit.
in_sandbox() {
  local where=$1 seconds code=0
  local -a properties
  shift
  seconds=$(($(time_left_ms) / 1000 + 1))
  properties=(BindsTo="$unit" After="$unit" RuntimeMaxSec="$seconds" KillMode=control-group NoNewPrivileges=yes
    PrivateTmp=yes PrivateDevices=yes ProtectSystem=strict ProtectHome=yes RestrictSUIDSGID=yes WorkingDirectory="$folder"
    Environment="UNDERSTUDY_APP=$app UNDERSTUDY_ENVIRONMENT=$environment UNDERSTUDY_RELEASE=$short UNDERSTUDY_SHARED=$home/shared")
  case $where in
  build)
    properties+=(User=understudy-build ReadWritePaths="$folder" InaccessiblePaths="$home/shared")
    ;;
  copy)
    properties+=(User="$app-rehearse" PrivateNetwork=yes BindPaths="$copy:$home/shared" ReadWritePaths="$home/shared"
      EnvironmentFile="-$runtime/env" Environment=UNDERSTUDY_REHEARSAL=1)
    ;;
  live)
    properties+=(User="$(setting user)" ProtectSystem=full ProtectHome=no PrivateTmp=no EnvironmentFile="-$runtime/env")
    ;;
  esac
  systemd-run --quiet --wait --pipe --collect --service-type=exec "${properties[@]/#/--property=}" "$@" || code=$?
  return "$code"
}

# ---- the data ---------------------------------------------------------------------------------------------

databases() { of_release '.data.databases[]?'; }

# Only names that stay below shared/, whatever a link in it says.
check_database_name() {
  local resolved
  resolved=$(as_user "$(setting user)" realpath --canonicalize-missing "$home/shared/$1")
  [[ $1 != /* && $resolved == "$home/shared"/* ]] || fail backup-failed "The database $1 is not below shared/."
}

back_up() {
  local schema
  install -d -m 0711 "$state/backups"
  install -d -m 0700 -o "$(setting user)" "$backup" "$backup/before"
  back_up_databases "$backup/before" integrity_check
  schema=$(schema_of_backup "$backup/before")
  keep_fact schema-before "$schema"
}

# Copies each database, pinned, into a folder as 0, 1, 2...; what is not there yet leaves no file.
back_up_databases() {
  local into=$1 check=$2 index=0 name absent=''
  while IFS= read -r name; do
    check_database_name "$name"
    if as_user "$(setting user)" test -s "$home/shared/$name"; then
      back_up_database "$(setting user)" "$home/shared/$name" "$into/$index" "$check" ||
        fail backup-failed "The database $name could not be copied, or its copy is not sound."
    elif [[ -n $(fact previous) ]] && ! was_absent "$name"; then
      fail backup-failed "The database $name is not there, and it was there for the live release."
    else
      absent+=" $name"
    fi
    index=$((index + 1))
  done < <(databases)
  [[ -z $absent ]] || note "not there yet:$absent"
}

# A database that no release on this host has had may still be missing.
was_absent() {
  local record
  record=$state/releases/$(fact previous).json
  [[ ! -f $record ]] || ! jq -e --arg name "$1" '.databases // [] | index($name)' "$record" >/dev/null
}

# The fingerprint of all databases in a backup: of the files 0, 1, 2...
schema_of_backup() {
  local index=0 name
  while IFS= read -r name; do
    printf '%s ' "$name"
    if [[ -e $1/$index ]]; then schema_of "$(setting user)" "$1/$index" immutable=1 || return 1; else echo absent; fi
    index=$((index + 1))
  done < <(databases) | sha256sum | cut -d ' ' -f 1
}

# The same of the databases below a shared folder, read as USER.
schema_below() {
  local name
  while IFS= read -r name; do
    printf '%s ' "$name"
    if as_user "$1" test -s "$2/$name"; then schema_of "$1" "$2/$name" mode=rw || return 1; else echo absent; fi
  done < <(databases) | sha256sum | cut -d ' ' -f 1
}

# Everything in shared/ but what is excluded; the databases from their backup. Each file is written by the
# rehearsal's user from what the app's user reads: root opens nothing there (attack 6).
copy_data() {
  local name index=0 code=0 skip=(--exclude=./.understudy-aside)
  while IFS= read -r name; do
    skip+=(--exclude="./$name" --exclude="./$name-wal" --exclude="./$name-shm" --exclude="./$name-journal")
  done < <(databases)
  while IFS= read -r name; do skip+=(--exclude="./$name"); done < <(of_release '.data.exclude[]?')
  remove_copy
  install -d -m 0711 "$state/rehearsal"
  install -d -m 0700 -o "$app-rehearse" -g "$app-rehearse" "$copy"
  as_user "$(setting user)" tar --create --file - --directory "$home/shared" --anchored --no-wildcards "${skip[@]}" . |
    as_user "$app-rehearse" tar --extract --file - --directory "$copy" --no-same-owner || code=${PIPESTATUS[0]}
  ((code <= 1)) || fail backup-failed 'The files of shared/ could not be copied.' # 1: a file changed meanwhile
  while IFS= read -r name; do
    if [[ -e $backup/before/$index ]]; then
      as_user "$app-rehearse" mkdir -p "$copy/$(dirname "$name")"
      as_user "$(setting user)" cat "$backup/before/$index" |
        as_user "$app-rehearse" dd bs=1M status=none of="$copy/$name"
    fi
    index=$((index + 1))
  done < <(databases)
}

remove_copy() { rm -rf --one-file-system "$copy"; }

# ---- the rehearsal ----------------------------------------------------------------------------------------

rehearse_migrate() {
  local schema
  if [[ -x $folder/.understudy/hooks/migrate ]]; then
    in_sandbox copy "$folder/.understudy/hooks/migrate" ||
      fail migrate-failed "The hook migrate ended with code $? on the copy; the live data is untouched."
  else
    note 'no hook'
  fi
  schema=$(schema_below "$app-rehearse" "$copy")
  keep_fact schema-after "$schema"
}

rehearse() {
  local began
  began=$(now_ms)
  load_environment
  if has_socket; then systemctl start "$app-rehearse@$short.socket"; fi
  systemctl start --no-block "$app-rehearse@$short.service"
  await_healthy rehearsal "$app-rehearse@$short.service" "$(start_timeout_ms)"
  keep_fact load-ms "$(($(now_ms) - began))"
  stop_rehearsal
  remove_copy
}

stop_rehearsal() {
  stop_units "$app-rehearse@$short.socket" "$app-rehearse@$short.service"
}

load_environment() {
  "$installed/environment" "$app" || note 'Parameter Store did not answer: the environment is as it was'
}

check_schema() {
  local now
  now=$(schema_below "$(setting user)" "$home/shared")
  [[ $now == "$(fact schema-before)" ]] ||
    fail schema-changed 'The schema of the live data changed during the rehearsal: deploy again.'
}

# ---- health -----------------------------------------------------------------------------------------------

# await_healthy WHERE UNIT MILLISECONDS: the main process runs inside its release's folder and holds the socket,
# and every check answers. Records the last answer to each check; ends the step when it is not so.
await_healthy() {
  local where=$1 of=$2 until problem
  remember_start "$of"
  until=$(($(now_ms) + $3))
  while problem=$(process_problem "$where" "$of"); [[ -n $problem ]]; do
    has_died "$of" && fail_start "$of" 'ended'
    (($(now_ms) < until)) || fail_start "$of" "is not up: $problem"
    sleep 0.1
  done
  ask_checks "$where" "$of" "$until"
}

fail_start() {
  journalctl --unit "$1" --output cat --lines 40 --no-pager >"$journal/excerpt" 2>/dev/null || true
  fail start-failed "${1%.service} $2."
}

# What a unit was when we began to look at it: see has_died.
remember_start() {
  restarts_before=$(unit_state "$1" NRestarts)
  invocation_before=''
}

# Over with no job to start it; started again for the third time; or, where only a socket can have done that,
# started again at all (a waiting check wakes what died).
has_died() {
  local active job restarts invocation
  {
    read -r active
    read -r job
    read -r restarts
    read -r invocation
  } < <(unit_states "$1" ActiveState Job NRestarts InvocationID)
  [[ -n $invocation_before || ($active == inactive && -n $job) ]] || invocation_before=$invocation
  case $1 in
  "$app@"*) [[ $active == failed ]] || ((restarts - restarts_before >= 3)) ;;
  *) [[ $active == failed || ($active == inactive && -z $job) || ${invocation_before:-$invocation} != "$invocation" ]] ;;
  esac
}

release_of_unit() {
  local name=${1##*@}
  printf '%s' "${name%.service}"
}

# Prints what is wrong with a unit's main process, or nothing.
process_problem() {
  local where=$1 of=$2 main inode
  main=$(unit_state "$of" MainPID)
  ((${main:-0} > 0)) || { echo 'no main process' && return; }
  [[ $(unit_state "$of" ActiveState) == active ]] || { echo 'still starting' && return; }
  [[ $(readlink "/proc/$main/cwd")/ == "$home/releases/$(release_of_unit "$of")"/* ]] ||
    { echo "process $main does not run inside its release's folder" && return; }
  has_socket || [[ $where != rehearsal ]] || return 0
  for inode in $(socket_inodes "$where" "$of"); do
    holds "$main" "$inode" && return
  done
  echo "process $main does not hold the $where socket"
}

# The public port for public and old, else the probe's path. `probe` in a live unit must hold both.
socket_inodes() {
  local path
  case $1 in
  public | old) listening_inodes "$(setting port)" ;;
  *)
    path=$(probe_path "$2")
    awk -v path="$path" '$8 == path {print $7}' /proc/net/unix
    ;;
  esac
}

probe_path() {
  case $1 in
  "$app-rehearse@"*) echo "$runtime/rehearse-$(release_of_unit "$1").sock" ;;
  "$app-alone@"*) echo "$runtime/alone-$(release_of_unit "$1").sock" ;;
  *) echo "$runtime/probe-$(release_of_unit "$1").sock" ;;
  esac
}

listening_inodes() {
  local hex
  hex=$(printf ':%04X' "$1")
  awk -v hex="$hex" '$4 == "0A" && substr($2, length($2) - 4) == hex {print $10}' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

holds() { [[ -n $(find "/proc/$1/fd" -lname "socket:\\[$2\\]" -print -quit 2>/dev/null) ]]; }

# No answer is asked again until the time is over: the server may still be loading. A wrong answer gets three tries.
ask_checks() {
  local where=$1 of=$2 until=$3 check answer wrong
  has_died "$of" && fail_start "$of" 'ended'
  while IFS= read -r check; do
    wrong=0
    while answer=$(ask "$where" "$of" "$check"); [[ $(jq .ok <<<"$answer") != true ]]; do
      if has_died "$of"; then
        printf '%s\n' "$answer" >>"$journal/checks.jsonl"
        fail_start "$of" 'ended while it was asked its checks'
      fi
      if [[ $(jq .status <<<"$answer") != 0 ]]; then wrong=$((wrong + 1)); fi
      if ((wrong >= 3)) || (($(now_ms) >= until)); then
        printf '%s\n' "$answer" >>"$journal/checks.jsonl"
        journalctl --unit "$of" --output cat --lines 40 --no-pager >"$journal/excerpt" 2>/dev/null || true
        fail check-failed "$(jq -r '"\(.where) check \(.path): \(.problem)"' <<<"$answer")."
      fi
      sleep 0.3
    done
    printf '%s\n' "$answer" >>"$journal/checks.jsonl"
  done < <(jq -c '.checks[]?' "$home/releases/$(release_of_unit "$of")/.understudy/release.json")
}

# Asks one check and judges the answer: status, content type, JSON fields, time.
ask() {
  local where=$1 of=$2 check=$3 path seconds began spent user code=0 status type words
  local -a reach enter=()
  path=$(jq -r .path <<<"$check")
  seconds=$(jq -r '(.timeout_ms // 5000) / 1000' <<<"$check")
  user=$(setting user)
  reach=("http://localhost$path" --unix-socket "$(probe_path "$of")")
  case $where in
  public | old) reach=("http://127.0.0.1:$(setting port)$path" --header 'Host: localhost') ;;
  rehearsal)
    user=$app-rehearse
    if ! has_socket; then
      reach=("http://127.0.0.1:$(setting port)$path" --header 'Host: localhost')
      enter=(nsenter --net --target "$(unit_state "$of" MainPID)" --)
    fi
    ;;
  esac
  words=$(mktemp -d)
  began=$(now_ms)
  "${enter[@]}" setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
    env -i PATH=/usr/bin:/bin HOME=/nonexistent curl -q --silent --globoff --path-as-is --proto =http --noproxy '*' \
    --max-time "$seconds" --write-out '%{stderr}%{http_code} %{content_type}' "${reach[@]}" \
    2>"$words/meta" | head -c 1048576 >"$words/body" || code=$?
  spent=$(($(now_ms) - began))
  read -r status type <"$words/meta" || true
  jq -nc --arg where "$where" --argjson ms "$spent" --argjson check "$check" --arg status "${status:-000}" --arg type "${type:-}" \
    --arg code "$code" --arg excerpts "$excerpts" --rawfile body "$words/body" '
    def holds($want): . as $got | if ($want | type) == "object"
      then ($got | type) == "object" and all($want | keys[]; . as $key | ($got | has($key)) and ($got[$key] | holds($want[$key])))
      else $got == $want end;
    ($status | tonumber? // 0) as $status
    | ($type | split(";")[0] // "" | ascii_downcase | gsub("\\s"; "")) as $media
    | ($check.type // "" | ascii_downcase) as $promised
    | (if $code == "28" then "no answer within \($check.timeout_ms // 5000) ms"
       elif $status == 0 then "no answer (curl ended with \($code))"
       elif $promised != "" and $media != $promised then "content type is \(if $media == "" then "missing" else $media end), not \($promised)"
       elif $status != ($check.status // 200) then "status is \($status), not \($check.status // 200)"
       elif $check.json == null then ""
       else ($body | try fromjson catch "not JSON") as $json
         | if $json | holds($check.json) then "" else "JSON is not as promised: \($check.json | tojson)" end
       end) as $problem
    | {where: $where, path: $check.path, ok: ($problem == ""), status: (if $code == "28" then 0 else $status end), type: $type, ms: $ms,
       body: (if $excerpts == "on" then ($body | split("\n")[0] // "" | .[0:200]) else "" end), problem: $problem}'
  rm -rf "$words"
}

# ---- the switch -------------------------------------------------------------------------------------------

stop_units() { # in this order: a socket before its service, or a waiting request starts it again (attack 2)
  local one
  for one in "$@"; do systemctl stop "$one" 2>/dev/null || true; done
  systemctl reset-failed "$@" 2>/dev/null || true
}

stop_release() {
  if has_socket; then stop_units "$app-probe@$1.socket"; fi
  stop_units "$app@$1.service"
}

start_release() {
  if has_socket; then systemctl start "$app-probe@$1.socket"; fi
  systemctl reset-failed "$app@$1.service" 2>/dev/null || true
  systemctl start --no-block "$app@$1.service"
}

start_workers() {
  local worker
  for worker in $(setting workers); do systemctl start --no-block "$app-worker@$worker.service"; done
}

stop_workers() {
  local worker
  for worker in $(setting workers); do systemctl stop "$app-worker@$worker.service"; done
}

# Live data changes from here on. Under `overlap` the old release serves on; else it is stopped first, with the
# port held open, and the data is kept as it is at that moment: nobody can write until it may be put back.
migrate() {
  keep_fact workers-stopped yes
  stop_workers
  if [[ $(setting switch) != overlap ]]; then hold; fi
  keep_fact migrating yes
  if [[ -x $folder/.understudy/hooks/migrate ]]; then
    in_sandbox live "$folder/.understudy/hooks/migrate" || fail migrate-failed "The hook migrate ended with code $? on the live data."
  else
    note 'no hook'
  fi
  keep_fact migrated yes
}

hold() {
  local previous
  previous=$(fact previous)
  keep_fact held "$(now_ms)"
  if has_socket; then systemctl start "$app-pause.service"; fi
  if [[ -n $previous ]]; then stop_release "$previous"; fi
  install -d -m 0700 -o "$(setting user)" "$backup/kept"
  back_up_databases "$backup/kept" quick_check
  keep_fact kept yes
}

switch() {
  case $(setting switch) in
  overlap) switch_by_overlap ;;
  pause) switch_by_pause ;;
  restart) expose ;;
  esac
}

# From here on users may meet the new release.
expose() {
  keep_fact exposed "$(now_ms)"
  start_release "$short"
  await_holding_public "$short"
}

await_holding_public() {
  local until problem
  remember_start "$app@$1.service"
  until=$(($(now_ms) + $(start_timeout_ms)))
  while problem=$(process_problem public "$app@$1.service"); [[ -n $problem ]]; do
    has_died "$app@$1.service" && fail_start "$app@$1.service" 'ended'
    (($(now_ms) < until)) || fail_start "$app@$1.service" "is not up: $problem"
    sleep 0.1
  done
}

switch_by_overlap() {
  expose
  await_healthy probe "$app@$short.service" "$(start_timeout_ms)"
  systemctl stop "$app-pause.service"
  if [[ -n $(fact previous) ]]; then stop_release "$(fact previous)"; fi
}

switch_by_pause() {
  systemctl start "$app-alone@$short.socket"
  systemctl start --no-block "$app-alone@$short.service"
  await_healthy probe "$app-alone@$short.service" "$(start_timeout_ms)"
  stop_units "$app-alone@$short.socket" "$app-alone@$short.service"
  expose
  await_healthy probe "$app@$short.service" "$(start_timeout_ms)"
  keep_fact answered "$(now_ms)"
  systemctl stop "$app-pause.service"
}

check_public() {
  await_healthy public "$app@$short.service" "$(start_timeout_ms)"
  has_fact answered || keep_fact answered "$(now_ms)"
  settle "$short" 0
  keep_fact checked yes
}

# True when no other release's unit is up, now and after the given seconds; stops those that are.
settle() {
  local keep=$1 seconds=$2 tries=0 other
  while ((tries++ < 4)); do
    while IFS= read -r other; do stop_release "$other"; done < <(other_releases "$keep")
    sleep "$seconds"
    if [[ -z $(other_releases "$keep") ]]; then return 0; fi
  done
  return 1
}

other_releases() {
  local name
  systemctl list-units --all --plain --no-legend --state=active,activating,reloading,deactivating "$app@*.service" |
    while read -r name _; do
      name=$(release_of_unit "$name")
      [[ $name == "$1" ]] || printf '%s\n' "$name"
    done
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

# ---- putting back -----------------------------------------------------------------------------------------

# Puts back what this operation did, as far as its journal says that it came. It may be run again at any point.
# `boot`: no unit runs yet, and the generator will start what `current` names.
put_back() {
  local stage=${1:-now} previous
  previous=$(fact previous)
  if [[ $stage == now ]]; then
    stop_rehearsal
    stop_units "$app-alone@$short.socket" "$app-alone@$short.service"
    if has_fact exposed; then
      take_public_back "$previous"
    fi
  fi
  if data_is_to_go_back "$stage"; then
    put_data_back
    keep_fact data-back yes
  fi
  if [[ $(live_release) == "$short" && -n $previous && $previous != "$short" ]]; then
    point_current "$previous"
  fi
  remove_copy
  if [[ $stage == now ]]; then
    systemctl daemon-reload
    if [[ -n $previous ]]; then
      if ! is_running "$app@$previous.service"; then start_release "$previous"; fi
    fi
    if has_fact workers-stopped && [[ -n $previous ]]; then start_workers; fi
  fi
}

# Only when the new release never held the public port, and nobody can have written since the data was kept:
# after another boot the old release may have.
data_is_to_go_back() {
  has_fact kept && has_fact migrating && ! has_fact exposed && ! has_fact data-back || return 1
  [[ $1 == boot || $(fact boot) == "$(</proc/sys/kernel/random/boot_id)" ]]
}

# Overlap: the old one comes up beside the new one before that stops; else the holder keeps the port meanwhile.
take_public_back() {
  local previous=$1 until
  if has_socket && [[ -z $previous || $(setting switch) == pause ]]; then systemctl start "$app-pause.service"; fi
  if [[ -n $previous && $(setting switch) == overlap ]]; then
    start_release "$previous"
    until=$(($(now_ms) + 60000))
    while [[ -n $(process_problem public "$app@$previous.service") ]] || ! answers_now probe "$previous"; do
      (($(now_ms) < until)) || break
      sleep 0.2
    done
  fi
  stop_release "$short"
}

answers_now() {
  local check
  while IFS= read -r check; do
    [[ $(ask "$1" "$app@$2.service" "$check" | jq .ok) == true ]] || return 1
  done < <(jq -c '.checks[]?' "$home/releases/$2/.understudy/release.json")
}

# The databases as they were when the old release had stopped. What is there now is kept aside.
put_data_back() {
  local name index=0 aside user source
  user=$(setting user)
  aside=$home/shared/.understudy-aside/$operation-$(now_ms)
  as_user "$user" mkdir -p "$aside"
  while IFS= read -r name; do
    source=$backup/kept/$index
    as_user "$user" mkdir -p "$aside/$(dirname "$name")"
    for suffix in '' -wal -shm -journal; do
      if [[ -e $home/shared/$name$suffix ]]; then
        as_user "$user" mv -T "$home/shared/$name$suffix" "$aside/$name$suffix"
      fi
    done
    if [[ -e $source ]]; then
      as_user "$user" cp "$source" "$home/shared/$name.understudy"
      if [[ -e $aside/$name ]]; then as_user "$user" chmod --reference="$aside/$name" "$home/shared/$name.understudy"; fi
      as_user "$user" sync "$home/shared/$name.understudy"
      as_user "$user" mv -T "$home/shared/$name.understudy" "$home/shared/$name"
      as_user "$user" sync "$(dirname "$home/shared/$name")"
    fi
    index=$((index + 1))
  done < <(databases)
}

# A migration of live data that stopped half-way is never resumed (attack 11): as before, nothing happened; as
# the copy's after, it is whole; else we cannot tell. With the data put back there is no question.
migration_is_unclear() {
  local now
  has_fact migrating && ! has_fact migrated && ! has_fact data-back || return 1
  now=$(schema_below "$(setting user)" "$home/shared")
  [[ $now != "$(fact schema-before)" && $now != "$(fact schema-after)" ]]
}

# Judges the host after put_back, and ends the operation.
conclude_put_back() {
  local reason=$1 sentence=$2 previous seconds
  previous=$(fact previous)
  if [[ -n $previous ]] && ! (verify_old "$previous"); then
    stop_holder
    finish failed "$reason" "$sentence Release $previous was put back, but is not healthy: $(failure sentence)" "$(outcome false "$previous")"
    return
  fi
  stop_holder
  seconds=$(fact load-ms)
  if has_fact exposed && ! settle "$previous" "$(seconds_of "$((${seconds:-1000} + 200))")"; then
    finish unknown "$reason" "$sentence Another release's unit keeps coming up on this host." "$(outcome false "$previous")"
  elif migration_is_unclear; then
    finish unknown migrate-interrupted "$sentence The migration of the live data stopped half-way: its schema is neither the old nor the new. ${previous:+Release $previous serves on. }Compare it with the backup in $backup/before, and restore that or finish the migration by hand." "$(outcome true "$previous")"
  elif [[ -n $previous ]]; then
    finish reverted "$reason" "$sentence Release $previous serves and is healthy." "$(outcome true "$previous")"
  else
    finish failed "$reason" "$sentence No release was live before, and none is now." "$(outcome false '')"
  fi
}

verify_old() {
  set -e
  await_healthy old "$app@$1.service" 60000
}

stop_holder() {
  if has_socket; then systemctl stop "$app-pause.service" 2>/dev/null || true; fi
}

seconds_of() { printf '%d.%03d' "$(($1 / 1000))" "$(($1 % 1000))"; }

# The fields of the result that a deploy adds: outcome HEALTHY RELEASE-NOW-LIVE
outcome() {
  local held answered spent=0 wait_ms=0 down_ms=0
  held=$(fact held)
  answered=$(fact answered)
  if [[ -n $held ]]; then
    spent=$((${answered:-$(now_ms)} - held))
    if has_socket; then wait_ms=$spent; else down_ms=$spent; fi
  fi
  jq -nc --arg release "$short" --arg previous "$(fact previous)" --argjson healthy "$1" --argjson met "$(has_fact exposed && echo true || echo false)" \
    --argjson wait_ms "$wait_ms" --argjson down_ms "$down_ms" '{$release, $previous, $met, $healthy, $wait_ms, $down_ms}'
}

# A step failed: refused when nothing changed, else what was done is put back.
give_up() {
  local result reason sentence
  result=$(failure result)
  reason=$(failure reason)
  sentence=$(failure sentence)
  [[ -n $reason ]] || reason=$(usual_reason "$1")
  if [[ $excerpts == off ]]; then : >"$journal/excerpt"; fi
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

# ---- the story --------------------------------------------------------------------------------------------

work() {
  install -d -m 0700 "$state/releases"
  if ! take_host; then
    finish refused busy "Operation $(head -n 1 "$state/lock") is at work on this host." "$(outcome false '')"
    return
  fi
  recover_others
  keep_fact started "$(now_ms)"
  keep_fact previous "$(live_release)"
  keep_fact boot "$(</proc/sys/kernel/random/boot_id)"
  step lock safely take_lock
  if [[ $(live_release) == "$short" ]]; then
    already_live
    return
  fi
  step room safely check_room
  step download safely download
  step unpack safely unpack
  step prepare safely prepare
  step backup safely back_up
  step copy safely copy_data
  step rehearse-migrate safely rehearse_migrate
  step rehearse safely rehearse
  step schema safely check_schema
  step migrate safely migrate
  step switch switch
  step check check_public
  step current commit
  step prune prune
  finish_deployed ''
}

# A recovery that is at work is waited for; an operation is not.
take_host() { lock_host 0 || { [[ -z $(running_operation) ]] && lock_host 90; }; }

safely() {
  safe_point
  "$@"
}

finish_deployed() {
  local previous
  previous=$(fact previous)
  finish 'done' deployed "Release $short is live${previous:+ in place of $previous}.$1" "$(outcome true)"
}

already_live() {
  step check await_healthy public "$app@$short.service" 10000
  finish unchanged already-live "Release $short is live and healthy; nothing was restarted." "$(outcome true)"
}

# What died before us is put right first, under our lock.
recover_others() {
  local other
  for other in "$state"/operations/*/; do
    other=${other%/}
    if [[ $other != "$journal" && -f $other/journal.jsonl && -f $other/script && ! -f $other/line ]]; then
      UNDERSTUDY_LOCKED=yes /bin/bash "$other/script" recover now >>"$other/log" 2>&1 || true
    fi
  done
}

# Finishes this operation after its death. What `current` names is the truth: with the new release there, the
# operation is carried to its end; else everything is put back.
recover() {
  local stage=$1 reason=interrupted stopped
  if [[ -z ${UNDERSTUDY_LOCKED:-} ]]; then
    lock_host 60 || exit 0
  fi
  stopped=$(current_step)
  (($(time_left_ms) > 0)) || reason=timed-out
  say "recovery ($stage): died in step $stopped"
  keep_fact interrupted "$stopped"
  if [[ $(live_release) == "$short" && $(fact previous) != "$short" ]]; then
    [[ $stage == boot ]] || finish_forward
  else
    put_back "$stage"
    [[ $stage == boot ]] || conclude_put_back "$reason" "The operation died in step ${stopped:-none}."
  fi
}

finish_forward() {
  systemctl daemon-reload
  if ! is_running "$app@$short.service"; then start_release "$short"; fi
  if (await_forward); then
    finish_deployed ' The operation was interrupted after the switch and finished by recovery.'
  else
    keep_fact exposed "$(now_ms)"
    put_back
    conclude_put_back interrupted "The operation died after the switch, and release $short is not healthy."
  fi
}

await_forward() {
  set -e
  await_healthy public "$app@$short.service" 60000
  stop_holder
  settle "$short" 0
  start_workers
}

case ${1:-watch} in
watch)
  if [[ ! -f $settings ]]; then
    tell_only refused not-prepared "This host was never prepared for $app: an operator sends the document $app-prepare-host."
  fi
  watch OnFailure="understudy-recover@$app.service"
  ;;
work) work ;;
recover) recover "${2:-now}" ;;
esac
