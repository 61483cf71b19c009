#!/usr/bin/env bash
# Write requirements/{run,dev,uv}.txt: every distribution pinned with hashes, no registry named.
set -euo pipefail
cd "$(dirname "$0")/.."
common=(--universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header --quiet
  --no-emit-package utd-protocol --no-emit-package utd-stream --no-emit-package utd-engine --no-emit-package utd-cli)
.venv/bin/uv pip compile "${common[@]}" packages/*/pyproject.toml requirements/build.in -o requirements/run.txt "$@"
.venv/bin/uv pip compile "${common[@]}" packages/*/pyproject.toml requirements/build.in requirements/dev.in \
  --extra postgres --extra redis -c requirements/run.txt -o requirements/dev.txt "$@"
.venv/bin/uv pip compile "${common[@]}" requirements/uv.in -o requirements/uv.txt "$@"
# Agents pin another livekit than we do, so their worker has an environment of its own.
.venv/bin/uv pip compile "${common[@]}" requirements/agents.in -o requirements/agents.txt "$@"
