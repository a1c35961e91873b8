import pytest
from torch.distributed import DistBackendError

from curricle.core.errors import JobError, LostWorkerError
from curricle.models import answers
from curricle.models.interruption import InterruptedJobError

PEER = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InterruptedJobError("stopped on request"), LostWorkerError),
        (RuntimeError(PEER), LostWorkerError),
        (DistBackendError("NCCL error"), LostWorkerError),
        (RuntimeError("CUDA error"), JobError),
        (FileNotFoundError("/data/gloo/tokens.bin"), JobError),
    ],
)
def test_another_ranks_end_and_a_request_to_stop_are_no_fault_of_the_jobs(
    error: Exception, kind: type[JobError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(message: object) -> None:
        raise error

    monkeypatch.setattr(answers, "run_job", fail)
    with pytest.raises(JobError, match=str(error).split("] ")[-1]) as raised:
        answers.facts_of(answers.answer({}))
    assert type(raised.value) is kind
