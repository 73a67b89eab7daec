#!/bin/bash
# Keeps one host's machine running, apart from the program that asked for it: hosts outlive their control plane, as
# they do in AWS. A reboot from inside ends nspawn with 133 (it was told --keep-unit): start it again.
#
#     supervise.sh MACHINE ROOT NETNS CGROUP…
set -euo pipefail

machine=$1 root=$2 netns=$3
shift 3

boot() (
  for cgroup in "$@"; do
    # What the machine before left there is dead, but in the way of the next one's own tree.
    find "$cgroup" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || true
    echo "$BASHPID" >"$cgroup/cgroup.procs"
  done
  # CAP_NET_ADMIN: hosts filter their own traffic (nftables), as an instance does.
  exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --link-journal=no \
    --machine="$machine" --directory="$root" --network-namespace-path="/run/netns/$netns" \
    --resolv-conf=off --timezone=off --capability=CAP_NET_ADMIN
)

while true; do
  code=0
  boot "$@" || code=$?
  echo "supervise: the machine ended with $code"
  [ "$code" -eq 133 ] || exit "$code"
done
