#!/bin/bash
# A worker for studies with `hardware: {nodes: 2, devices: 4}`, on an allocation of as many nodes and GPUs:
#
#   export PREFECT_API_URL=http://SERVER:4200/api CURRICLE_CACHE=/shared/scratch/curricle
#   sbatch --nodes=2 --gpus-per-node=4 deploy/slurm/worker.sh
#
# with the environment active that has curricle, at the same place on all nodes. It works on studies until its time is
# up or its nodes are wanted back; then jobs leave snapshots, runs go back into their queue, and the allocation too.
#SBATCH --job-name=curricle
#SBATCH --ntasks-per-node=1
#SBATCH --time=1-00:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

: "${PREFECT_API_URL:?names no Prefect server}"
# Beside one another, since a job's launcher needn't wait for another job's to end.
launch="srun --overlap --nodes=$SLURM_JOB_NUM_NODES --ntasks-per-node=1 --kill-on-bad-exit=1"
export CURRICLE_LAUNCHER=$launch

taken=
leave() {
  taken=yes
  kill -TERM "$worker"
}

curricle worker --pool nodes &
worker=$!
trap leave TERM
wait "$worker"
status=$?
if [ -n "$taken" ]; then
  # The trap has ended the first wait before its time.
  wait "$worker"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
