#!/bin/bash
# recover APP [boot]: puts back what dead operations on an app left; each operation's own script knows how. `boot`: no
# unit runs yet, and only data and `current` are put right. It fails when one could not be put back: see the units.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

app=$1
stage=${2:-now}
failed=0

is_dead() {
  [[ -f $1/journal.jsonl && -f $1/script && ! -f $1/line ]] || return 1
  case $(systemctl show --property ActiveState --value "understudy-$app-$(basename "$1").service") in
  active | activating | deactivating) return 1 ;;
  esac
}

# Data first, for all: no unit may start on what another operation left half-changed. On a machine that is not enrolled none does.
if [[ $stage == now && ! -e /var/lib/understudy/$app/unenrolled ]]; then systemctl start "understudy-boot@$app.service"; fi
for folder in /var/lib/understudy/"$app"/operations/*/; do
  folder=${folder%/}
  is_dead "$folder" || continue
  code=0
  /bin/bash "$folder/script" recover "$stage" >>"$folder/log" 2>&1 || code=$?
  ((code != 0)) || continue
  echo "recovery ($stage) of $(basename "$folder") ended with code $code" | tee -a "$folder/log" >&2
  # Only who had begun to change live data may keep the app from starting.
  if [[ $stage == now ]] || grep -q '"fact":"migrating"' "$folder/journal.jsonl"; then failed=1; fi
done
((failed == 0)) || exit 1
# The limit of the unit counts failures: forgotten with each success.
if [[ $stage == now ]]; then systemctl reset-failed "understudy-recover@$app.service" || true; fi
