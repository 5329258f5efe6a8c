#!/usr/bin/env bash
# Installs mmjax on every worker of a Cloud TPU VM and runs one command on all of them.
#
#   launch/tpu_pod.sh [--dry-run] --ref=GITREF [--repo=URL] NAME ZONE -- train --config=configs/x.py --workdir=gs://b/x
#   launch/tpu_pod.sh [--dry-run] --wheel=dist/mmjax.whl    NAME ZONE -- train --config=configs/x.py --workdir=gs://b/x
#
# --ref takes code and configs from a branch, tag or commit of URL (else this checkout's origin); --wheel takes the code
# from a wheel and the configs from this checkout. The command runs in ~/mmjax of each worker. The workdir must be one
# that all workers reach. The script stays attached until the command ends: start it where it can stay, as in tmux.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT PYTHON=3.12

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

parse() {
  dry_run=false ref='' wheel='' repo=''
  while [[ ${1-} == --?* ]]; do
    case $1 in
      --dry-run) dry_run=true ;;
      --ref=?*) ref=${1#*=} ;;
      --repo=?*) repo=${1#*=} ;;
      --wheel=?*) wheel=${1#*=} ;;
      *) usage ;;
    esac
    shift
  done
  [[ -n ${1-} && -n ${2-} && ${3-} == -- && $# -ge 4 ]] || usage
  name=$1 zone=$2
  arguments=("${@:4}")
}

check() {
  if [[ -n $ref && -n $wheel || -z $ref && -z $wheel ]]; then
    echo "tpu_pod.sh: give one of --ref and --wheel" >&2
    exit 2
  fi
  if [[ -n $wheel && ! -f $wheel ]]; then
    echo "tpu_pod.sh: no wheel $wheel; make one with: pip wheel --no-deps -w dist ." >&2
    exit 2
  fi
  if [[ -n $ref && -z $repo ]] && ! repo=$(git -C "$ROOT" remote get-url origin 2>/dev/null); then
    echo "tpu_pod.sh: this checkout has no origin; give --repo=URL" >&2
    exit 2
  fi
}

# Runs a command, or prints it so that it could be pasted.
run() {
  local word
  if ! $dry_run; then
    "$@"
    return
  fi
  for word in "$@"; do
    if [[ $word =~ ^[[:alnum:]_./:=@-]+$ ]]; then printf '%s ' "$word"; else printf '%s ' "${word@Q}"; fi
  done
  echo
}

on_all_workers() {
  run gcloud compute tpus tpu-vm ssh "$name" "--zone=$zone" --worker=all "--command=$1"
}

# Paths on a worker are relative to its home folder. TPU images carry an older Python, so uv brings one.
prepare="set -e; mkdir -p mmjax; [ -x .local/bin/uv ] || curl -LsSf https://astral.sh/uv/install.sh | sh"
prepare+="; [ -d mmjax-env ] || .local/bin/uv venv --python $PYTHON mmjax-env"
install=".local/bin/uv pip install --python mmjax-env/bin/python \"jax[tpu]\""

install_ref() {
  local fetch
  fetch="cd mmjax; git init -q; git fetch -q --depth=1 $(printf '%q %q' "$repo" "$ref"); git checkout -qf FETCH_HEAD; cd .."
  on_all_workers "$prepare; $fetch; $install -e mmjax"
}

install_wheel() {
  on_all_workers "$prepare"
  run gcloud compute tpus tpu-vm scp --recurse "$wheel" "$ROOT/configs" "$name:mmjax/" "--zone=$zone" --worker=all
  # A changed wheel may carry an unchanged version.
  on_all_workers "$install --reinstall-package mmjax $(printf '%q' "mmjax/$(basename "$wheel")")"
}

parse "$@"
check
if [[ -n $ref ]]; then install_ref; else install_wheel; fi
on_all_workers "cd mmjax && ../mmjax-env/bin/mmjax$(printf ' %q' "${arguments[@]}") --coordinator=auto"
