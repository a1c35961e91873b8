"""PyTorch's torchrun, which ends with its summary of which ranks failed and how, and no more.

Its own stack would push the last lines of the ranks out of what is kept of the log.
"""

import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun


def main() -> None:
    """Run torchrun with this process's arguments."""
    try:
        torchrun()
    except ChildFailedError as error:
        sys.exit(str(error).strip())


if __name__ == "__main__":
    main()
