import pytest
from torch import AcceleratorError
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
        (AcceleratorError("CUDA error: an illegal memory access"), LostWorkerError),
        (RuntimeError("CUDA error"), JobError),
        (FileNotFoundError("/data/gloo/tokens.bin"), JobError),
    ],
)
def test_what_befalls_a_process_is_no_fault_of_its_job(
    error: Exception, kind: type[JobError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(message: object) -> None:
        raise error

    monkeypatch.setattr(answers, "run_job", fail)
    with pytest.raises(JobError, match=str(error).split("] ")[-1]) as raised:
        answers.facts_of(answers.answer({}))
    assert type(raised.value) is kind


def test_the_last_line_says_what_the_error_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(message: object) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure\nCompile with a switch.")

    monkeypatch.setattr(answers, "run_job", fail)
    lines = answers.answer({})["error"].splitlines()
    assert lines[-1] == "RuntimeError: CUDA error: unspecified launch failure"
    assert "Compile with a switch." in lines
    assert any("in fail" in line for line in lines)
