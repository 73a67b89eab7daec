#!/bin/bash
# Builds the layer of a host that Capistrano deploys to: what Debian 12 has of it, over the hosts' own root.
#
#     build.sh FOLDER BASE        FOLDER must not exist; afterwards it holds what differs from BASE
set -euo pipefail

folder=$1 base=$2
packages=(capistrano git openssh-client openssh-server)

mkdir -p "$folder.part/upper" "$folder.part/work" "$folder.part/root"

# In a mount namespace of its own: what is mounted goes with it, even when it is killed.
# shellcheck disable=SC2016 # the words are those of the shell inside
unshare --mount --propagation private bash -c '
  set -euo pipefail
  part=$1 base=$2
  shift 2
  mount -t overlay understudy -o "lowerdir=$base,upperdir=$part/upper,workdir=$part/work" "$part/root"
  mount --bind /dev "$part/root/dev"
  mount -t proc proc "$part/root/proc"
  cat /etc/resolv.conf >"$part/resolv.conf"
  touch "$part/root/etc/resolv.conf"
  mount --bind "$part/resolv.conf" "$part/root/etc/resolv.conf"
  printf "#!/bin/sh\nexit 101\n" >"$part/root/usr/sbin/policy-rc.d" # no service starts in here
  chmod +x "$part/root/usr/sbin/policy-rc.d"
  chroot "$part/root" apt-get update --quiet=2
  DEBIAN_FRONTEND=noninteractive chroot "$part/root" apt-get install --yes --quiet=2 --no-install-recommends "$@" </dev/null
  chroot "$part/root" apt-get clean
  rm -rf "$part/root/usr/sbin/policy-rc.d" "$part/root/var/lib/apt/lists"
' build "$folder.part" "$base" "${packages[@]}" >"$folder.log" 2>&1 || {
  tail -n 20 "$folder.log" >&2
  exit 1
}
# What is left of removed files are devices that stand for nothing but in an overlay.
find "$folder.part/upper" -type c -delete
rm -rf "$folder.part/upper/etc/resolv.conf" "$folder.part/upper/tmp"
mv "$folder.part/upper" "$folder"
rm -rf "$folder.part" "$folder.log"
