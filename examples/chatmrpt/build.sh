#!/bin/bash
# Runs in the build job: fetches what requirements.txt pins, and builds it for the hosts' Python.
set -euo pipefail
python3 -m pip wheel --quiet --require-hashes --requirement requirements.txt --wheel-dir wheels
