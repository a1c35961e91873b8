"""Holds a made-up machine's GPUs: `python gpu_holder.py HOST SECONDS`; says when it has them."""

import socket
import sys
import time
from types import SimpleNamespace
from typing import Any

from curricle.tasks import gpus

socket.gethostname = lambda: sys.argv[1]
pretended: Any = SimpleNamespace(resolved="cuda", devices=1)
with gpus.gpu_turn(pretended):
    sys.stdout.write("holding\n")
    sys.stdout.flush()
    time.sleep(float(sys.argv[2]))
sys.stdout.write("done\n")
