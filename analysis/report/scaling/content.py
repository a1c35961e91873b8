"""What the report of a ladder is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curricle.analysis.scaling.ladder import LadderFindings


@dataclass(frozen=True, kw_only=True)
class LadderContent:
    """What the page shows: findings, costs by size, schedules by curriculum, provenance.

    `schedules` tell, by curriculum, size and tokens, which stage is read for how long.
    """

    study: str
    status: str
    created: str
    findings: LadderFindings
    sizes: Sequence[Mapping[str, str]]
    schedules: Mapping[tuple[str, float], str]
    provenance: Mapping[str, str]
    spec: str
