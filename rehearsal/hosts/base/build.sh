#!/bin/bash
# Builds the root file system that every host starts from: Debian 12, and the AWS CLI in /opt/aws.
#
#     build.sh FOLDER PIP        FOLDER must not exist; PIP is a pip of any Python, to fetch with
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=$1 pip=$2
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT

# mmdebstrap tells its steps by "I:"; what is wrong begins with "E:" or comes from a program that it runs.
say_steps() {
  local line step=0 steps=14
  while IFS= read -r line; do
    case $line in
      "I: running --customize-hook"*) step=$((step + 1)) && echo "$((100 * step / steps)) %: putting the AWS CLI into it" ;;
      "I: "*) step=$((step + 1)) && echo "$((100 * step / steps)) %: ${line#I: }" ;;
      "W: Download is performed unsandboxed"*) ;;
      *) echo "$line" ;;
    esac
  done
}

# The host's own Python is Debian 12's 3.11, whichever Python downloads for it.
download_cli() {
  echo "0 %: fetching the AWS CLI (about 16 MB)"
  "$pip" download --quiet --disable-pip-version-check --require-hashes --only-binary :all: --python-version 3.11 \
    --implementation cp --abi cp311 --abi abi3 --abi none --dest "$wheels" --requirement "$here/requirements.txt"
}

# In a mount namespace of its own: what mmdebstrap mounts goes with it, even when it is killed.
build_root() {
  # shellcheck disable=SC2016 # $1 is the hook's own: the root that is being built
  env --unset PIP_FIND_LINKS unshare --mount --propagation private \
    mmdebstrap --mode=root --variant=minbase --format=directory \
    --include="$(paste -sd, "$here/packages.txt")" \
    --customize-hook="mkdir \"\$1/wheels\" && cp \"$wheels\"/*.whl \"\$1/wheels\"" \
    --customize-hook='chroot "$1" python3 -m venv /opt/aws' \
    --customize-hook='chroot "$1" /opt/aws/bin/pip install --quiet --no-index --find-links /wheels awscli' \
    --customize-hook='ln -s /opt/aws/bin/aws "$1/usr/local/bin/aws"; rm -r "$1/wheels"' \
    --customize-hook='rm -f "$1/etc/machine-id" "$1/etc/hostname" "$1/etc/resolv.conf"' \
    bookworm "$folder"
}

download_cli
build_root 2>&1 | say_steps
