"""Proof of what a run read: its order replayed against the digests in its log."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from curricle.analysis.formatting import counted
from curricle.core.errors import InputError, IntegrityError
from curricle.core.order_file import Order, batch_at, read_order, read_read
from curricle.core.read_digest import START, next_digest
from curricle.core.store import Artifact, Store
from curricle.core.token_dataset import TokenDataset
from curricle.core.tokenizer_file import load_tokenizer
from curricle.models.metrics_log import METRICS
from curricle.recipes.tokenizing import decode
from curricle.tasks.order import CHOSEN

SHOWN_CHARACTERS, SHOWN_SAMPLES = 160, 4


@dataclass(frozen=True)
class OrderCheck:
    """What a run read, by its log and by its order.

    `points` are the logged digests, `first_difference` the tokens after which the first one differs
    from the order's (None: all agree). `proved_steps` are the steps up to the last digest before
    that: each digest stands for all batches up to it. `drawing` says whether samples were drawn
    with replacement (None: the order's record doesn't). `shares` are the domains' shares of each
    quarter of the run, `first` and `last` the texts of some samples of the first and last batch.
    """

    run: str
    order: str
    steps: int
    samples: int
    distinct_samples: int
    most_reads_of_a_sample: int
    drawing: str | None
    points: int
    proved_steps: int
    first_difference: int | None
    shares: list[dict[str, float]]
    first: list[str]
    last: list[str]

    @property
    def is_proved(self) -> bool:
        """Whether the log proves the whole run: all agree, and there is one at the last step."""
        return self.first_difference is None and self.proved_steps == self.steps

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "is_proved": self.is_proved}


def check_order(store: Store, run: Artifact, tokenizer: Artifact) -> OrderCheck:
    """Replay the order of the run whose checkpoint is `run`.

    Raises InputError if the run's log has no digests.
    """
    record = store.record(run)
    inputs = {role: _artifact(key) for role, key in record["inputs"].items()}
    spec = record["spec"]
    dataset = TokenDataset(store.folder(inputs["dataset"]), spec["model"]["sequence_length"])
    chosen = read_read(store.folder(run))
    order = _order_of(store, run, inputs["order"], len(dataset), spec, chosen)
    logged = _logged(store.folder(run) / METRICS)
    replayed = _replayed(dataset, order, spec["batch_size"], spec["steps"])
    per_step = spec["batch_size"] * dataset.sequence_length
    after = {(step + 1) * per_step: digest for step, digest in enumerate(replayed)}
    agreeing = list(takewhile(lambda point: after.get(point[0]) == point[1], logged))
    texts = load_tokenizer(store.folder(tokenizer))

    def show(step: int) -> list[str]:
        windows = dataset.read(batch_at(order, step, spec["batch_size"])[:SHOWN_SAMPLES])
        return [decode(texts, row[:-1].tolist())[:SHOWN_CHARACTERS] for row in windows]

    return OrderCheck(
        run=run.key,
        order=inputs["order"].key,
        steps=spec["steps"],
        samples=len(order),
        distinct_samples=len(np.unique(order)),
        most_reads_of_a_sample=int(np.bincount(order).max()),
        drawing=CHOSEN if chosen is not None else store.facts(inputs["order"]).get("drawing"),
        points=len(logged),
        proved_steps=max((tokens // per_step for tokens, _ in agreeing), default=0),
        first_difference=logged[len(agreeing)][0] if len(agreeing) < len(logged) else None,
        shares=_shares(dataset, order),
        first=show(0),
        last=show(spec["steps"] - 1),
    )


def render_check(check: OrderCheck) -> str:
    """The check for the terminal."""
    samples = f"{check.samples:,} samples, {check.distinct_samples:,} of them different"
    most = f"no sample read more than {counted(check.most_reads_of_a_sample, 'time')}"
    drawing = check.drawing or "not stated in the order's record"
    lines = [
        f"run    {check.run}",
        f"order  {check.order}: {check.steps:,} steps, {samples}",
        f"drawn  {drawing}; {most}",
        _verdict(check),
        "",
        "domains by quarter of the run",
        *_share_lines(check.shares),
    ]
    for title, texts in (("first batch", check.first), ("last batch", check.last)):
        lines += ["", title, *(f"  {' '.join(text.split())}" for text in texts)]
    return "\n".join(lines)


def _verdict(check: OrderCheck) -> str:
    up_to = f"up to step {check.proved_steps:,} of {check.steps:,}"
    if check.first_difference is not None:
        at = f"the log differs from {check.first_difference:,} tokens on"
        return f"NOT what the order says: {at}; proved {up_to}"
    if not check.is_proved:
        return f"NOT proved to the end: the log has digests {up_to}, which are those of the order"
    return f"proved {up_to}: all {check.points} digests in the log are those of the order"


def _share_lines(shares: Sequence[dict[str, float]]) -> list[str]:
    width = max(map(len, shares[0]))
    return [
        f"  {domain:<{width}}" + "".join(f"{quarter[domain]:>8.1%}" for quarter in shares)
        for domain in shares[0]
    ]


def _logged(path: Path) -> list[tuple[int, str]]:
    """(tokens, digest) of each line of a log that has one."""
    entries = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    found = [(int(entry["tokens"]), str(entry["read"])) for entry in entries if "read" in entry]
    if not found:
        raise InputError(
            f"{path}: no digest of what was read",
            expected="the log of a run trained by this version",
            fix="train it again",
        )
    return found


def _replayed(dataset: TokenDataset, order: Order, batch_size: int, steps: int) -> list[str]:
    """The digest after each step."""
    digests, digest = [], START
    for step in range(steps):
        digest = next_digest(digest, dataset.read(batch_at(order, step, batch_size)))
        digests.append(digest)
    return digests


def _shares(dataset: TokenDataset, order: Order) -> list[dict[str, float]]:
    domains = dataset.domain_of_samples()
    counts = [
        np.bincount(domains[quarter], minlength=len(dataset.domains)) / max(len(quarter), 1)
        for quarter in np.array_split(order, 4)
    ]
    return [dict(zip(dataset.domains, row.tolist(), strict=True)) for row in counts]


def _order_of(
    store: Store,
    run: Artifact,
    order: Artifact,
    samples: int,
    spec: dict[str, Any],
    chosen: Order | None,
) -> Order:
    """What a run should have read: its order, or what it noted as `chosen` among that.

    Raises IntegrityError if it notes samples that weren't candidates at that step.
    """
    named = read_order(store.folder(order), samples)
    if chosen is None:
        return named
    candidates = named.reshape(spec["steps"], -1)
    for step, batch in enumerate(chosen.reshape(spec["steps"], -1)):
        if not np.isin(batch, candidates[step]).all():
            raise IntegrityError(f"{run.key}: step {step} chose samples that weren't candidates")
    return chosen


def _artifact(key: str) -> Artifact:
    return Artifact(*key.split("/"))
