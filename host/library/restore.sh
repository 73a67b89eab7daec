#!/bin/bash
# Puts a backup back: chosen by its manifest, fetched and proven beside the live data, then exchanged with it in one go while
# nothing of the app runs. By its journal it is put back, or carried on, after its death at any point.
# shellcheck shell=bash disable=SC2154

# Where a backup is unpacked: beside the live data, so that the exchange is renames; to verify only, in a folder of root's that
# the app cannot reach.
staged() {
  if [[ $mode == restore ]]; then echo "$home/shared/.understudy-aside/$operation.new"; else echo "$state/restoring/$operation/data"; fi
}

# Who reads and writes what a backup holds: never root (attack 6).
reader() { if [[ $mode == restore ]]; then setting user; else echo "$app-rehearse"; fi; }

words_of() { printf '%s/restoring/%s/%s' "$state" "$operation" "$1"; }

of_manifest() { jq -r "$1" "$journal/manifest.json"; }
wants() { jq -e --arg what "$1" '.with | index($what)' "$journal/request.json" >/dev/null; }
entries() { if wants databases; then of_manifest '.databases[] | tojson'; fi; }
entry_of() { jq -r "$1" <<<"$2"; }
manifest_key() { jq -r .manifest_key "$journal/request.json"; }

# Neither this host nor the request are as they must be, in the words of the mode that was asked for.
could_not() { # REASON SENTENCE
  if [[ $mode == restore ]]; then refuse "$@"; else refuse drill-could-not-run "$2"; fi
}

# ---- what is asked for ----------------------------------------------------------------------------------------

# The `$` in single quotes are jq's.
# shellcheck disable=SC2016
request_problem='
  if length != 1 then "it is not one object" else .[0] | . as $request | [
    if .schema == 1 then empty else "schema" end,
    if .manifest_key | plain and test("^[A-Za-z0-9/._-]+$") then empty else "manifest_key" end,
    if .with | type == "array" and length > 0 and all(.[]; IN("databases", "files", "code")) then empty else "with" end,
    if .manifest | type == "object" then .manifest | problem | select(. != "") | "manifest: \(.)" else "manifest" end,
    if .urls | type == "object" and all(.[]; plain and length < 8000 and (test("[\"\\\\ ]") | not)) then empty else "urls" end]
    | join("; ") end'

# The request tells of URLs by which everybody could fetch the backup: they go with the fetching.
read_request() {
  local key=requests/$app/$environment/$operation.json problem object
  store_seconds=60 store s3api get-object --bucket "$(setting bucket)" --key "$key" "$journal/request.json" >/dev/null ||
    could_not restore-precondition "The request $key could not be fetched from $(setting bucket)."
  problem=$(jq -rs "$manifest_words$request_problem" "$journal/request.json" 2>/dev/null) || problem='it cannot be read'
  [[ -z $problem ]] || could_not restore-precondition "The request $key is not as it should be: $problem."
  jq -c .manifest "$journal/request.json" | write_whole "$journal/manifest.json"
  [[ $(of_manifest .app) == "$app" ]] || could_not restore-precondition "The backup is of the app $(of_manifest .app), not of $app."
  while read -r object _; do
    jq -e --arg object "$object" '.urls | has($object)' "$journal/request.json" >/dev/null || could_not restore-precondition "The request $key gives no URL for $object."
  done < <(objects)
  note "$(manifest_key), with $(jq -r '.with | join(", ")' "$journal/request.json")"
}

# What runs afterwards: the backup's release where its code is asked for, else the live one.
know_request() {
  short=$(fact previous)
  release=$(of_manifest .release)
  if [[ $mode == restore ]] && wants code; then short=${release:0:12}; fi
  folder=$home/releases/$short
  # shellcheck disable=SC2034 # verify.sh's
  verify_as=(as_user "$(reader)")
}

# The objects that are asked for, one a line: name, bytes as they are stored, unpacked, and kind.
objects() {
  local kind
  for kind in databases files code; do
    wants "$kind" || continue
    of_manifest "[.$kind] | flatten[] | select(.) | \"\\(.object) \\(.packed.size) \\(.raw.size) $kind\""
  done
}

# ---- whether it fits ------------------------------------------------------------------------------------------

check_fits() {
  local live
  live=$(fact previous)
  [[ $(of_manifest '.databases | length') -gt 0 || $(of_manifest .files) != null ]] || refuse restore-precondition 'The backup holds no data.'
  if wants code; then
    [[ $(of_manifest .code) != null ]] || refuse restore-precondition 'The backup holds no code.'
    check_digits
  elif [[ -z $live ]]; then
    refuse restore-precondition 'No release is on this host, so nothing would run on the data: ask for the code as well ("with": ["databases", "files", "code"]).'
  elif ! runs_on_backup "$live"; then
    refuse restore-precondition "The backup is of release $(of_manifest '.release[0:12]'), and has another schema than release $live, which is live, ran on: ask for its code as well (\"with\": [..., \"code\"])."
  fi
  check_paths
}

# A release fits data that it made, or that has the schema on which it ran last.
runs_on_backup() {
  local known
  [[ $(of_manifest '.release[0:12]') != "$1" ]] || return 0
  known=$(jq -r '.schema // ""' "$state/releases/$1.json" 2>/dev/null) || known=''
  [[ -n $known && $(short=$1 schema_of_manifest) == "$known" ]]
}

# As schema_below would tell it of the databases once they are in place.
schema_of_manifest() {
  local name
  while IFS= read -r name; do
    jq -r --arg name "$name" '"\($name) \([.databases[] | select(.name == $name) | .schema][0] // "absent")"' "$journal/manifest.json"
  done < <(databases) | sha256sum | cut -d ' ' -f 1
}

# The exchange is renames: what is exchanged must lie below shared/, and on one volume with it.
check_paths() {
  local name at volume
  volume=$(stat --format=%m "$home/shared")
  while IFS= read -r name; do
    is_below_shared "$name" || refuse restore-precondition "$name leads out of shared/."
    at=$home/shared/$name
    [[ $(as_user "$(setting user)" stat --format=%m "$at" 2>/dev/null || echo "$volume") == "$volume" ]] ||
      refuse restore-precondition "$name lies on another volume than shared/: it cannot be exchanged in one go."
  done < <(restored_names)
}

restored_names() {
  if wants databases; then of_manifest '.databases[].name'; fi
  included
}

included() { if wants files; then of_manifest '.release_description.data.include[]?'; fi; }

# What is unpacked beside the live data; what is there is only moved.
check_room() {
  local free need=0 spare=$((64 << 20)) bytes
  while read -r _ _ bytes _; do need=$((need + bytes)); done < <(objects)
  if [[ $control == on ]]; then need=$((need + $(of_manifest '.databases[0].raw.size // 0'))); fi
  install -d -m 0711 "$state/restoring" "$state/restoring/$operation"
  if [[ $mode == restore ]]; then
    has_room "$home/shared" "$((need + spare))"
    has_room "$state" "$spare"
    as_user "$(setting user)" mkdir -p "$(staged)" || refuse read-only "$home/shared cannot be written."
  else
    has_room "$state" "$((need + spare))"
    install -d -m 0700 -o "$(reader)" "$(staged)"
  fi
  lay_ballast
  free=$(free_bytes "$state")
  note "needs about $((need >> 20)) MiB of $((free >> 20)) MiB"
}

has_room() {
  local free
  free=$(free_bytes "$1")
  ((free >= $2)) || could_not no-room "$1 has $((free >> 20)) MiB free, and this backup needs about $(($2 >> 20)) MiB there."
}

# ---- fetched and proven ---------------------------------------------------------------------------------------

# Levels are told in the details, each with what it took and what was seen.
keep_level() { # LEVEL VERDICT SINCE EVIDENCE
  jq -nc --argjson level "$1" --arg verdict "$2" --argjson ms "$(($(uptime_ms) - $3))" --arg evidence "$4" \
    '{$level, $verdict, $ms, evidence: $evidence[0:1000]}' >>"$journal/levels.jsonl"
}

# What a level's function said of an object: it goes on, or the operation ends here.
conclude_level() { # LEVEL CODE SINCE OBJECT EVIDENCE
  case $2 in
  0) return ;;
  1)
    keep_level "$1" failed "$3" "$4: $5"
    fail backup-bad "The backup $(manifest_key) is bad: at level $1, $4: $5. Nothing was changed."
    ;;
  *)
    keep_level "$1" could-not-run "$3" "$4: $5"
    end_step failed drill-could-not-run "Whether $4 of $(manifest_key) is good could not be told at level $1: $5. Nothing was changed."
    ;;
  esac
}

# In the clear only where root's own settings say that the store is (the local cloud).
protocol_of() { # URL
  local endpoint
  endpoint=$(sed -n 's/^ *endpoint_url *= *\(http:\/\/[^ ]*[^ /]\)\/* *$/\1/p' "$HOME/.aws/config" 2>/dev/null | head -n 1)
  if [[ -n $endpoint && $1 == "$endpoint"/* ]]; then echo '=http'; else echo '=https'; fi
}

# The URL travels by a pipe: whoever sees the command could fetch the backup. Its answer's status is on stderr.
fetch() {
  curl -q --silent --show-error --fail --globoff --proto "$(protocol_of "$1")" --max-redirs 0 --connect-timeout 10 \
    --speed-limit 1 --speed-time 60 --max-time "$(($(time_left_ms) / 1000 + 1))" --write-out '%{stderr}\nstatus %{http_code}\n' \
    --config <(printf 'url = "%s"\n' "$1")
}

# One object, once through: fetched, hashed, unpacked, written. A cut or busy line is tried again from the start.
receive() { # read_database|read_archive OBJECT RAW-BYTES FILE|COMMAND...
  local reading=$1 object=$2 bytes=$3 url status pause=1 code until
  shift 3
  url=$(jq -r --arg object "$object" '.urls[$object]' "$journal/request.json")
  until=$(($(uptime_ms) + 120000))
  while :; do
    code=0
    { fetch "$url" 2>"$journal/fetch" || : >"$journal/unfetched"; } | "$reading" "$object" "$bytes" "$(words_of "$object")" "$@"
    [[ -e $journal/unfetched ]] || return 0
    rm -f "$journal/unfetched"
    status=$(sed -n 's/^status \([0-9]*\)$/\1/p' "$journal/fetch" | tail -n 1)
    case $status in
    404) echo 'it is not there (404)' && return 1 ;;
    400 | 401 | 403) echo "its URL was refused ($status): it has expired, or was made by somebody who may not read it" && return 2 ;;
    esac
    # A URL that is none, or may not be asked, stays so.
    if [[ -e $journal/cancel ]] || grep --quiet --text '^curl: ([13]) ' "$journal/fetch" || (($(uptime_ms) + pause * 1000 >= until || $(time_left_ms) <= pause * 1000)); then
      echo "it could not be fetched: $(grep --text '^curl' "$journal/fetch" | tail -n 1 | head -c 300)" && return 2
    fi
    sleep "$pause"
    pause=$((pause < 16 ? pause * 2 : 16))
  done
}

# The members of an archive, one a line: of files unpacked, of code where its release is not here; else only listed.
unpack_to() { # KIND
  local user
  user=$(reader)
  case $mode-$1 in
  restore-files) as_user "$user" tar --extract --file=- --verbose --quoting-style=escape --no-same-owner --preserve-permissions --directory="$(staged)/files" ;;
  restore-code) in_sandbox build tar --extract --file=- --verbose --quoting-style=escape --numeric-owner --no-same-owner --no-same-permissions --directory="$folder" ;;
  *) as_user "$user" tar --list --file=- --quoting-style=escape ;;
  esac >"$journal/members-$1"
}

lay_folder() { # KIND
  case $mode-$1 in
  restore-files) as_user "$(reader)" mkdir -p "$(staged)/files" ;;
  restore-code)
    rm -rf --one-file-system "$folder"
    install -d -m 0755 -o understudy-build "$folder"
    ;;
  esac
}

# A release that is here is not laid again: its code is the same, whatever the backup's may be.
is_wanted() { [[ $mode != restore || $1 != code ]] || ! is_on_host; }

# Level 2: all bytes, each read once.
fetch_all() {
  local object raw kind index=0 began since told code total=0 file
  since=$(uptime_ms)
  while read -r object _ raw kind <&4; do
    is_wanted "$kind" || continue
    began=$(uptime_ms) code=0 file=''
    if [[ $kind == databases ]]; then
      file=$(staged)/$index
      told=$(receive read_database "$object" "$raw" "$file") || code=$?
      index=$((index + 1))
    else
      lay_folder "$kind"
      told=$(receive read_archive "$object" "$raw" unpack_to "$kind") || code=$?
    fi
    ((code != 0)) || told=$(bytes_agree "$(entry_named "$object")" "$(words_of "$object")" "$file") || code=$?
    conclude_level 2 "$code" "$began" "$object" "$told"
    total=$((total + raw))
  done 4< <(objects)
  drop_urls
  keep_level 2 passed "$since" "$(objects | wc -l) objects, $total bytes unpacked, each with its SHA-256"
  note "$((total >> 10)) KiB"
}

entry_named() { jq -c --arg object "$1" '[.databases[], .files, .code | select(.object? == $object)][0]' "$journal/manifest.json"; }

drop_urls() {
  if [[ -f $journal/request.json ]]; then
    # One that cannot be read is emptied.
    { jq -c 'objects | del(.urls)' "$journal/request.json" 2>/dev/null || true; } | write_whole "$journal/request.json"
  fi
}

# Levels 3 and 4, of each database.
prove_level() { # LEVEL
  local entry index=0 since told code all=''
  since=$(uptime_ms)
  while IFS= read -r entry <&4; do
    code=0
    told=$(judge "$1" "$entry" "$(staged)/$index" "$(words_of "$(entry_of .object "$entry")")") || code=$?
    conclude_level "$1" "$code" "$since" "$(entry_of '"\(.object) (\(.name))"' "$entry")" "$told"
    all+="${all:+; }$(entry_of .name "$entry"): $told"
    index=$((index + 1))
  done 4< <(entries)
  if [[ $1 == 4 ]]; then count_members "$since"; fi
  keep_level "$1" passed "$since" "${all:-no database was asked for}"
  note "$all"
}

count_members() {
  local kind wanted found
  for kind in files code; do
    [[ -f $journal/members-$kind ]] || continue
    wanted=$(of_manifest ".$kind.count")
    found=$(grep --text --count '^\./' "$journal/members-$kind") || true # none is told as 0, and is a failure to grep
    [[ $found == "$wanted" ]] || conclude_level 4 1 "$1" "$(of_manifest ".$kind.object")" "it holds $found members, not $wanted"
  done
}

# A check that cannot fail proves nothing.
prove_control() {
  local entry told code=0 copy
  entry=$(entries | head -n 1)
  if [[ -z $entry ]]; then
    prove_control_of_archive
    return
  fi
  copy=$(staged)/control
  told=$(control_passes "$entry" "$(staged)/0" "$(words_of "$(entry_of .object "$entry")")" "$copy") || code=$?
  as_user "$(reader)" rm -f "$copy"
  case $code in
  0) fail control-passed "A copy of $(entry_of .name "$entry") that was damaged on purpose was not refused: $told. No verdict of this host can be relied on." ;;
  1) keep_fact control refused ;;
  *) end_step failed drill-could-not-run "The negative control could not be made of $(entry_of .name "$entry")." ;;
  esac
  note 'one byte of a page flipped, and one row more in the manifest: refused at levels 2, 3 and 4'
}

# Without a database there is no copy to damage: the manifest tells of other bytes.
prove_control_of_archive() {
  local object kind entry
  while read -r object _ _ kind; do
    if is_wanted "$kind"; then break; fi
  done < <(objects)
  if [[ ! -d $(words_of "$object") ]]; then note 'nothing was fetched' && return; fi
  entry=$(entry_named "$object" | jq -c '.raw.sha256 |= (explode | reverse | implode)')
  is_refused 2 "$entry" '' "$(words_of "$object")" ||
    fail control-passed "The manifest told of other bytes of $object, and level 2 passed. No verdict of this host can be relied on."
  keep_fact control refused
  note "another SHA-256 of $object in the manifest: refused at level 2"
}

remove_staged() {
  drop_urls
  if [[ $mode == restore ]]; then
    as_user "$(setting user)" rm -rf --one-file-system "$(staged)" || true # what is left there is in nobody's way
    as_user "$(setting user)" rmdir "$home/shared/.understudy-aside" 2>/dev/null || true # others' stay
  fi
  rm -rf --one-file-system "${state:?}/restoring/$operation"
  remove_half
}

# ---- made ready -----------------------------------------------------------------------------------------------

# The code as it ran: what `prepare` made is in it, so it is made read-only and root's as it is.
lay_code() {
  if ! wants code || is_on_host; then
    note "release $short is on this host"
    check_drift
    return
  fi
  check_unpacked_code
  keep_description
  check_drift
  seal_release
  note "release $short is laid from the backup"
}

check_unpacked_code() {
  [[ -z $(find "$folder" -perm /6000 -print -quit) ]] || refuse bad-release 'The code of the backup holds a setuid or setgid file.'
  [[ ! -L $folder/.understudy && -f $folder/.understudy/run && -x $folder/.understudy/run ]] ||
    refuse bad-release 'The code of the backup has no .understudy/run, or one that cannot be executed.'
}

# What is there, as a backup is, but for the bucket: it stays here for as long as local copies do.
copy_present() {
  short=$(fact previous)
  if [[ -z $short ]]; then note 'there is nothing yet' && return; fi
  check_sources
  name_backup daily
  check_room_for_backup
  copy_databases
  pack_all
  write_manifest
  keep_copies
  note "$copies/$(backup_name)"
}

# How the journal of a database is kept is written in its first page. Before anybody else has it open.
set_journal_modes() {
  local entry index=0 mode_wanted uri
  while IFS= read -r entry; do
    mode_wanted=$(entry_of 'if .journal_mode == "wal" then "wal" else "delete" end' "$entry")
    uri=$(database_uri "$(staged)/$index" mode=rw)
    if [[ $(as_user "$(reader)" od --address-radix=n --format=u1 --skip-bytes=18 --read-bytes=1 "$(staged)/$index" | tr -d ' ') != "$([[ $mode_wanted == wal ]] && echo 2 || echo 1)" ]]; then
      query "$(reader)" "$uri" "PRAGMA journal_mode = $mode_wanted;" >/dev/null || fail switch-failed "The journal mode of $(entry_of .name "$entry") could not be set."
    fi
    as_user "$(reader)" sync "$(staged)/$index"
    index=$((index + 1))
  done < <(entries)
}

# ---- exchanged ------------------------------------------------------------------------------------------------

# Nobody of the app runs from here on; where there is a socket, requests wait.
stop_app() {
  local other
  keep_fact workers-stopped yes
  keep_fact held "$(uptime_ms)"
  stop_workers
  if has_socket; then systemctl start "$app-pause.service"; else stop_units "$app-probe@*.socket" "$app.socket"; fi
  while IFS= read -r other; do stop_release "$other"; done < <(other_releases '')
  stop_units "$app-rehearse@*.socket" "$app-rehearse@*.service"
  [[ -z $(other_releases '') ]] || fail switch-failed "Release $(other_releases '' | head -n 1) does not stop."
  await_unheld
}

await_unheld() {
  local tries=0 held
  while held=$(holders); [[ -n $held ]]; do
    ((++tries < 25)) || fail restore-precondition "Although the app was stopped, $held: end it, then restore again."
    sleep 0.2
  done
}

# A process that has one of the files open, by its device and inode: whatever name it knows it by.
holders() {
  local path ids=' '
  while IFS= read -r path; do
    ids+="$(as_user "$(setting user)" stat --dereference --format='%d:%i' "$home/shared/$path" 2>/dev/null) "
  done < <(database_files)
  find -L /proc/[0-9]*/fd -maxdepth 1 -type f -printf '%D:%i %p\n' 2>/dev/null | while read -r id path; do
    [[ $ids == *" $id "* ]] || continue
    path=${path#/proc/}
    printf 'process %s (%s) has %s open' "${path%%/*}" "$(cat "/proc/${path%%/*}/comm" 2>/dev/null)" "$(readlink "/proc/$path")"
    break
  done
}

# A stale log beside another database is corruption: all four go together.
database_files() {
  local name suffix
  wants databases || return 0
  while IFS= read -r name; do
    for suffix in '' -wal -shm -journal; do printf '%s\n' "$name$suffix"; done
  done < <(of_manifest '.databases[].name')
}

# Each path that is exchanged, and where it lies in the folder that keeps it: databases first, for one may lie below what is
# included. Backwards it is the order in which they come back.
exchanged() { # forward|backward
  {
    database_files | sed 's/.*/&\n&/'
    included | awk '{printf "%s\n.files-%d/%s\n", $0, NR, $0}'
  } | paste -d '\t' - - | if [[ $1 == backward ]]; then tac; else cat; fi
}

# Moves what is there, as the app's user, into a folder that is made for it.
move_whole() { # FROM TO
  local user
  user=$(setting user)
  as_user "$user" test -e "$1" || as_user "$user" test -L "$1" || return 0
  as_user "$user" mkdir -p "$(dirname "$2")" && as_user "$user" mv -T "$1" "$2"
}

sync_shared() { sync --file-system "$home/shared"; }

exchange() {
  local aside path kept
  aside=$home/shared/.understudy-aside/$operation-$(now_ms)
  keep_fact aside "$aside"
  keep_fact migrating yes # by which a boot knows that the app may not start before this is put right
  as_user "$(setting user)" mkdir -p "$aside"
  while IFS=$'\t' read -r path kept; do
    move_whole "$home/shared/$path" "$aside/$kept" || fail switch-failed "$path could not be moved aside."
  done < <(exchanged forward)
  sync_shared
  keep_fact moved yes
  install_files
  install_databases "$aside"
  if [[ $(live_release) != "$short" ]]; then point_current "$short"; fi
  sync_shared
  keep_fact installed yes
  systemctl daemon-reload
}

install_files() {
  local path
  while IFS=$'\t' read -r path _; do
    move_whole "$(staged)/files/$path" "$home/shared/$path" || fail switch-failed "$path could not be put in place."
  done < <(exchanged backward)
}

# With the mode that the old one had.
install_databases() { # ASIDE
  local name index=0 user suffix
  user=$(setting user)
  wants databases || return 0
  while IFS= read -r name; do
    if as_user "$user" test -e "$1/$name"; then as_user "$user" chmod --reference="$1/$name" "$(staged)/$index"; fi
    for suffix in -wal -shm -journal; do as_user "$user" rm -f "$home/shared/$name$suffix"; done
    move_whole "$(staged)/$index" "$home/shared/$name" || fail switch-failed "$name could not be put in place."
    as_user "$user" test -s "$home/shared/$name" || fail switch-failed "$name is not in place."
    index=$((index + 1))
  done < <(of_manifest '.databases[].name')
}

# Puts the whole old set back, as often as it takes: first all that is new goes, then all that is old comes. Only before the first
# of the old has come is what stands in its place new.
undo_exchange() {
  local aside path kept
  aside=$(fact aside)
  keep_fact undoing yes
  if has_fact moved && ! has_fact cleared; then
    while IFS=$'\t' read -r path kept; do move_whole "$home/shared/$path" "$aside.refused/$kept" || return 1; done < <(exchanged forward)
    sync_shared
    keep_fact cleared yes
  fi
  while IFS=$'\t' read -r path kept; do
    as_user "$(setting user)" test -e "$aside/$kept" || as_user "$(setting user)" test -L "$aside/$kept" || continue
    # What the app made meanwhile, started without its data.
    move_whole "$home/shared/$path" "$aside.refused/since-$(now_ms)/$kept" || return 1
    move_whole "$aside/$kept" "$home/shared/$path" || return 1
  done < <(exchanged backward)
  sync_shared
  keep_fact data-back yes
}

# Once the old set is back; also by a recovery of one that died just then.
remove_undone() {
  local aside
  aside=$(fact aside)
  as_user "$(setting user)" find "$aside" -depth -type d -empty -delete 2>/dev/null || true # what is not empty stays
  # Only users' own writes are worth keeping of what was refused: the backup has the rest.
  has_fact exposed || as_user "$(setting user)" rm -rf --one-file-system "$aside.refused" || true # what is left there is in nobody's way
}

# ---- put back -------------------------------------------------------------------------------------------------

# Puts back what this operation did, as far as its journal says that it came. False: the old set is not back.
take_back() { # now|boot
  local previous code=0
  previous=$(fact previous)
  if [[ $1 == now ]] && has_fact held; then
    if has_socket; then systemctl start "$app-pause.service"; fi
    stop_release "$short"
  fi
  if [[ $(live_release) == "$short" && $previous != "$short" ]]; then
    if [[ -n $previous ]]; then point_current "$previous"; else rm "$home/current"; fi
  fi
  if has_fact migrating && ! has_fact data-back; then undo_exchange || code=1; fi
  if has_fact data-back; then remove_undone; fi
  if ((code == 0)); then remove_staged; fi
  if [[ $1 == now ]] && has_fact held && ((code == 0)); then
    systemctl daemon-reload
    if [[ -n $previous ]]; then
      start_release "$previous"
      start_workers
    fi
  fi
  return "$code"
}

# Judges the host after take_back, and ends the operation.
conclude_back() { # RESULT REASON SENTENCE
  local result=$1 reason=$2 sentence=$3 previous
  rm -f "$journal/failure" # told already
  previous=$(fact previous)
  if ! has_fact held; then
    finish "$result" "$reason" "${sentence/% Nothing was changed./} Nothing was changed." "$(outcome false '')"
    return
  fi
  if has_fact data-back; then
    sentence+=' The whole old set of files was put back.'
    if has_fact exposed; then sentence+=" What users wrote meanwhile is in $(fact aside).refused."; fi
  else
    sentence+=' The data was not touched.'
  fi
  if [[ -z $previous ]]; then # requests go on waiting
    finish failed "$reason" "$sentence No release was live before, and none is now." "$(outcome false '')"
    return
  fi
  stop_holder
  if ! (await_healthy old "$app@$previous.service" "$(start_timeout_ms "$previous")"); then
    finish failed "$reason" "$sentence Release $previous was started again, but is not healthy: $(failure sentence)" "$(outcome false "$previous")"
  elif ! settle "$previous" 0.2; then
    finish unknown "$reason" "$sentence Another release's unit keeps coming up on this host." "$(outcome false "$previous")"
  else
    finish reverted "$reason" "$sentence Release $previous serves and is healthy." "$(outcome true "$previous")"
  fi
}
