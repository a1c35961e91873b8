"""Figures as matplotlib `Figure` objects, with SVG for pages and PNG for trackers.

Nothing here uses pyplot or keeps state between calls.
"""

from curricle.analysis.plots.band import band_figure
from curricle.analysis.plots.curricula import (
    arm_domains_figure,
    arms_figure,
    curves_figure,
    score_figure,
)
from curricle.analysis.plots.documents import documents_figure
from curricle.analysis.plots.evaluation import costs_figure, letters_figure
from curricle.analysis.plots.methods import agreement_figure, ranks_figure
from curricle.analysis.plots.perplexity import perplexity_figure
from curricle.analysis.plots.rankings import (
    domains_figure,
    rank_flow_figure,
    ranking_figure,
    seeds_figure,
)
from curricle.analysis.plots.sharpness import sharpness_curves_figure, sharpness_figure
from curricle.analysis.plots.style import to_png, to_svg

__all__ = [
    "agreement_figure",
    "arm_domains_figure",
    "arms_figure",
    "band_figure",
    "costs_figure",
    "curves_figure",
    "documents_figure",
    "domains_figure",
    "letters_figure",
    "perplexity_figure",
    "rank_flow_figure",
    "ranking_figure",
    "ranks_figure",
    "score_figure",
    "seeds_figure",
    "sharpness_curves_figure",
    "sharpness_figure",
    "to_png",
    "to_svg",
]
