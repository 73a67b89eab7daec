#!/bin/bash
# Builds the root file system that every host starts from: Debian 12, and the AWS CLI in /opt/aws.
#
#     build.sh FOLDER PIP        FOLDER must not exist; PIP is a pip ≥ 22 of any Python
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=$1 pip=$2
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT

say_steps() {
  local line step=0
  while IFS= read -r line; do
    case $line in
      "I: "*) step=$((step + 1)) && echo "  hosts' root file system, step $step of about 12: ${line#I: }" ;;
      *) echo "  $line" ;;
    esac
  done
}

# The host's own Python is Debian 12's 3.11, whichever Python downloads for it.
download_cli() {
  echo "  hosts' root file system: fetching the AWS CLI (about 16 MB)"
  "$pip" download --quiet --disable-pip-version-check --require-hashes --only-binary :all: --python-version 3.11 \
    --implementation cp --abi cp311 --abi abi3 --abi none --dest "$wheels" --requirement "$here/requirements.txt"
}

build_root() {
  # shellcheck disable=SC2016 # $1 is the hook's own: the root that is being built
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
