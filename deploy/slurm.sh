#!/usr/bin/env bash
# A search on a Slurm allocation: sbatch deploy/slurm.sh
# A job that is preempted or runs out of time is requeued, and resumes the search. Adapt the lines below.
#SBATCH --job-name=tune-paddy
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=2
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@900
set -euo pipefail

name=${NAME:-night}
data=${DATA:-/shared/photos}
runs=${RUNS:-/shared/runs}
record=${MLFLOW_TRACKING_URI:-http://mlflow:5000}
export MLFLOW_TRACKING_URI=$record

# Programs of other users reach the nodes: Ray asks for a token, which only this user can read.
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_TOKEN

# Ports of this job's own: several jobs may share a node.
port=$((20000 + SLURM_JOB_ID % 20000))
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
cpus=$SLURM_CPUS_PER_TASK
gpus=${SLURM_GPUS_ON_NODE:-0}

# A preemption sends SIGTERM to all steps. Ray must outlive the search, so its processes never get the signal.
shielded=(env --block-signal=TERM)
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap "${shielded[@]}" \
  ray start --head --node-ip-address "$head" --port "$port" --num-cpus "$cpus" --num-gpus "$gpus" \
  --include-dashboard false --temp-dir "/tmp/ray-$SLURM_JOB_ID" --block &
ray=($!)
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
  srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" --overlap \
    "${shielded[@]}" ray start --address "$head:$port" --num-cpus "$cpus" --num-gpus "$gpus" --block &
  ray+=($!)
  sleep 20
fi

# The folder exists from the first session on.
if [ -d "$runs/$name" ]; then
  search=(--resume "$name")
else
  search=("$data" --space paddy_search --name "$name")
fi

# Fifteen minutes before the end Slurm signals this script (--signal); at a preemption, it signals the steps. The search
# then ends after its running epochs with status 143. The script passes the signal to the steps by `scancel`, because
# `srun` kills its step when it gets SIGTERM itself.
trap 'scancel --signal=TERM "$SLURM_JOB_ID"' TERM
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
  tune-paddy search "${search[@]}" --runs "$runs" --ray-address "$head:$port" &
running=$!
status=0
wait "$running" || status=$?
while kill -0 "$running" 2>/dev/null; do # the signal ended `wait`, not the search
  status=0
  wait "$running" || status=$?
done
kill "${ray[@]}" && wait "${ray[@]}" || true # `srun` kills Ray's steps
if [ "$status" -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
