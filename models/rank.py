"""One rank of a job on several devices: `torchrun -m curricle.models.rank JOB.json ANSWER.json`."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from curricle.models.answers import LOST, answer
from curricle.models.interruption import SNAPSHOT_GRACE_SECONDS, request_stop


def main() -> None:
    """Run the job; the first rank writes the answer, or any that fails by a fault of the job's.

    Stops when standard input closes, at once if it is stuck.
    """
    job, reply = Path(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: request_stop())
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    rank, result = os.environ["RANK"], answer(json.loads(job.read_text(encoding="utf-8")))
    # Ranks that have lost another one don't know why.
    if LOST not in result and (rank == "0" or "facts" not in result):
        partial = reply.with_suffix(f".{rank}")
        partial.write_text(json.dumps(result), encoding="utf-8")
        partial.rename(reply)
    if "facts" not in result:
        # Other ranks may wait for this one: torchrun ends them once it sees a failure.
        sys.exit(json.dumps(result))


def _stop_at_end_of_input() -> None:
    while sys.stdin.read(1):
        pass
    request_stop()
    # It may wait for a rank that is no more.
    time.sleep(SNAPSHOT_GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
