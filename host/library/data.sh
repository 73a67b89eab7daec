#!/bin/bash
# The app's data: its databases are copied under writes, fingerprinted, and put back. All of it is done as the app's user (attack 6).
# shellcheck shell=bash disable=SC2154

database_uri() { jq -rn --arg path "$1" --arg how "$2" '"file:" + ($path | split("/") | map(@uri) | join("/")) + "?" + $how'; }

query() { # USER URI STATEMENTS
  as_user "$1" timeout 900 sqlite3 -batch -bail -init /dev/null -cmd '.timeout 20000' "$2" "$3"
}

# Copies one database while it is written to: back_up_database USER SOURCE TARGET integrity_check|quick_check.
# Inside a read transaction, or each foreign write would start the copy anew. What sqlite3 calls ok proves little:
# the text, the size and a table are looked at (an unreadable path gives an empty, sound database).
back_up_database() {
  local user=$1 source=$2 target=$3 check=$4 found
  as_user "$user" timeout 900 sqlite3 -batch -bail -init /dev/null "$(database_uri "$source" mode=rw)" >/dev/null <<SQL || return 1
.timeout 20000
BEGIN;
SELECT 1 FROM sqlite_master LIMIT 1;
.backup '$target'
COMMIT;
SQL
  mapfile -t found < <(query "$user" "$(database_uri "$target" immutable=1)" \
    "PRAGMA $check; SELECT count(*) FROM sqlite_master WHERE type = 'table'; PRAGMA page_count; PRAGMA page_size;")
  [[ ${#found[@]} == 4 && ${found[0]} == ok ]] && ((found[1] >= 1)) &&
    (($(stat --format=%s "$target") == found[2] * found[3])) && sync "$target"
}

# The fingerprint of one database's schema: schema_of USER FILE HOW (an URI's mode=rw, or immutable=1 for a copy).
schema_of() {
  query "$1" "$(database_uri "$2" "$3")" \
    'SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql; PRAGMA user_version;' | sha256sum | cut -d ' ' -f 1
}

# Bytes of the app's data; the databases, which are copied three times, apart.
data_bytes() {
  [[ -d $home/shared ]] || { echo '0 0' && return; }
  as_user "$(setting user)" find "$home/shared" -type f -printf '%s %p\n' 2>/dev/null |
    awk '{total += $1; if ($2 ~ /\.(db|sqlite3?|db3)(-wal)?$/) databases += $1} END {printf "%d %d\n", total, databases}'
}

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
