#!/usr/bin/env bash
# Runs one mmjax command as N processes on this machine, which train together as one job.
#
#   launch/local.sh [--dry-run] [--logs=DIR] N -- train --config=configs/quickstart.py --workdir=runs/quickstart
#
# Process 0 writes to the terminal, the others to DIR/process-I.log. The first process that fails stops the others, and
# its exit status is that of this script. SIGINT and SIGTERM are passed on, so that the run saves and stops.
# With GPUs, process I sees only the I-th of CUDA_VISIBLE_DEVICES, or of the machine where that is unset.
set -euo pipefail

readonly GRACE=30 # seconds between asking the others to stop and killing them

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

parse() {
  dry_run=false logs=''
  while [[ ${1-} == --?* ]]; do
    case $1 in
      --dry-run) dry_run=true ;;
      --logs=?*) logs=${1#*=} ;;
      *) usage ;;
    esac
    shift
  done
  [[ ${1-} =~ ^[1-9][0-9]*$ && ${2-} == -- && $# -ge 3 ]] || usage
  count=$1
  arguments=("${@:3}")
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Fills `gpus` with one GPU for each process, or leaves it empty where GPUs are absent or not wanted.
choose_gpus() {
  gpus=()
  [[ ${JAX_PLATFORMS-} == cpu ]] && return
  if [[ -n ${CUDA_VISIBLE_DEVICES-} ]]; then
    IFS=, read -ra gpus <<<"$CUDA_VISIBLE_DEVICES"
  elif command -v nvidia-smi >/dev/null; then
    mapfile -t gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null)
  fi
  if ((${#gpus[@]} > 0 && ${#gpus[@]} < count)); then
    echo "local.sh: $count processes, but ${#gpus[@]} GPUs; start fewer, or set JAX_PLATFORMS=cpu" >&2
    exit 2
  fi
}

# Fills `command` with what process $1 runs.
command_of() {
  command=(mmjax "${arguments[@]}" "--coordinator=127.0.0.1:$port" "--num_processes=$count" "--process_id=$1")
  if ((${#gpus[@]} > 0)); then command=(env "CUDA_VISIBLE_DEVICES=${gpus[$1]}" "${command[@]}"); fi
}

print_commands() {
  local i
  for ((i = 0; i < count; i++)); do
    command_of "$i"
    printf '%q ' "${command[@]}"
    if ((i > 0)); then printf '> %q 2>&1 ' "$logs/process-$i.log"; fi
    echo '&'
  done
}

start() {
  local i
  mkdir -p "$logs"
  if ((count > 1)); then echo "local.sh: the other processes write to $logs" >&2; fi
  # Each process leads a group of its own: Ctrl-C then reaches it once, through `forward`, and not from the terminal too.
  set -m
  for ((i = 0; i < count; i++)); do
    command_of "$i"
    if ((i == 0)); then
      "${command[@]}" </dev/null &
    else
      "${command[@]}" </dev/null >"$logs/process-$i.log" 2>&1 &
    fi
    pids[i]=$!
  done
  set +m
}

forward() {
  local pid
  for pid in "${pids[@]}"; do kill "-$1" "$pid" 2>/dev/null || true; done
}

# Fills `running` with the indices of processes that have not ended, and `status` with the first failure.
look() {
  local i ended
  local -a before=("${running[@]}")
  running=()
  for i in "${before[@]}"; do
    if kill -0 "${pids[i]}" 2>/dev/null; then
      running+=("$i")
      continue
    fi
    ended=0
    wait "${pids[i]}" || ended=$?
    if ((ended != 0 && status == 0)); then
      status=$ended failed=$i
    fi
  done
}

stop_others() {
  local pid deadline=$((SECONDS + GRACE))
  echo "local.sh: process $failed failed with status $status; stopping the others" >&2
  if ((failed > 0)); then tail -n 20 "$logs/process-$failed.log" >&2; fi
  forward TERM
  while ((${#running[@]} > 0 && SECONDS < deadline)); do
    sleep 0.2
    look
  done
  # What is left: a process that waits for the failed one in a collective, and data workers without their parent.
  for pid in "${pids[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done
}

parse "$@"
choose_gpus
port=$(free_port)
if $dry_run; then
  logs=${logs:-/tmp/mmjax-local}
  print_commands
  exit
fi
logs=${logs:-$(mktemp -d "${TMPDIR:-/tmp}/mmjax-local.XXXXXX")}
pids=() status=0 failed='' stopping=false
# A stop that the user asked for may take as long as saving takes: nothing is killed then.
trap 'stopping=true; forward INT' INT
trap 'stopping=true; forward TERM' TERM
start
running=("${!pids[@]}")
while ((${#running[@]} > 0)) && { ((status == 0)) || $stopping; }; do
  # An interrupted sleep is no failure: the signal has been forwarded.
  sleep 0.2 || true
  look
done
if ((status != 0)) && ! $stopping; then stop_others; fi
exit "$status"
