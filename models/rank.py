"""One rank of a job on several devices: `torchrun -m curricle.models.rank JOB.json ANSWER.json`."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from curricle.models.answers import answer
from curricle.models.interruption import request_stop


def main() -> None:
    """Run the job; the first rank writes the answer. Stops when standard input closes."""
    job, reply = Path(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: request_stop())
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    result = answer(json.loads(job.read_text(encoding="utf-8")))
    if os.environ["RANK"] == "0":
        partial = reply.with_suffix(".partial")
        partial.write_text(json.dumps(result), encoding="utf-8")
        partial.rename(reply)
    if "facts" not in result:
        # Other ranks may wait for this one: torchrun ends them once it sees a failure.
        sys.exit(json.dumps(result))


def _stop_at_end_of_input() -> None:
    while sys.stdin.read(1):
        pass
    request_stop()


if __name__ == "__main__":
    main()
