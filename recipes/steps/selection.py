"""Documents chosen by where they come from: their domain, or a pattern of their source."""

import fnmatch
import re
from collections.abc import Callable, Sequence

import pyarrow as pa

from curricle.recipes.document_file import Batch
from curricle.recipes.dropped import Drop, DropLog
from curricle.recipes.specs.steps import Select

OTHER_DOMAIN, OTHER_SOURCE = "other-domain", "other-source"


def select(step: Select) -> Callable[[Batch, DropLog], pa.Table]:
    """Keep what is of one of the domains and matches one of the patterns, where there are any."""
    domains, is_wanted = set(step.domains), _matcher(step.source_patterns)

    def reason(domain: str, source: str) -> Drop | None:
        if domains and domain not in domains:
            return Drop(OTHER_DOMAIN)
        return None if is_wanted(source) else Drop(OTHER_SOURCE)

    def transform(batch: Batch, log: DropLog) -> pa.Table:
        columns = (batch.table[name].to_pylist() for name in ("domain", "source"))
        drops = [reason(domain, source) for domain, source in zip(*columns, strict=True)]
        return log.filter(batch.table, drops)

    return transform


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    if not patterns:
        return lambda _: True
    compiled = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))
    return lambda source: compiled.match(source) is not None
