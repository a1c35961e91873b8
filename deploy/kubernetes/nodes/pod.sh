#!/bin/sh
# What a pod of worker-nodes does: the first one works on studies, the others wait for commands of its launch.py.
case $HOSTNAME in
  *-0) exec curricle worker --pool nodes ;;
esac

# A pod that is taken away asks the ranks in it to leave a snapshot, and waits for their end.
leave() {
  kill -TERM -1
  while set -- /proc/[0-9]* && [ $# -gt 1 ]; do
    sleep 1
  done
  exit 0
}

trap leave TERM
while :; do
  sleep 3600 &
  wait
done
