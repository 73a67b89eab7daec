#!/bin/bash
# Puts back what dead operations on an app left: each operation's own script knows how. `boot`: the port is not
# open yet, no unit runs, and only data and `current` are put right.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

app=$1
stage=${2:-now}
for folder in /var/lib/understudy/"$app"/operations/*/; do
  [[ -f $folder/journal.jsonl && -f $folder/script && ! -f $folder/line ]] || continue
  operation=$(basename "$folder")
  case $(systemctl show --property ActiveState --value "understudy-$app-$operation.service") in
  active | activating | deactivating) continue ;;
  esac
  /bin/bash "$folder/script" recover "$stage" >>"$folder/log" 2>&1 ||
    echo "recovery of $operation ended with code $?" | tee -a "$folder/log" >&2
done
