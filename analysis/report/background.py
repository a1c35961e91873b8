"""The report's closing sections: cost, corpus, method, provenance."""

from collections.abc import Iterator

from curricle.analysis import formatting, plots
from curricle.analysis.content import ReportContent
from curricle.analysis.measure import LOSS, Measure
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Column, Markup, Part, Value

METHOD = (
    "Loss is the mean over a run's held-out tokens of a domain, in nats per token; a run counts "
    "with the unweighted mean over domains.",
    "Rankings fit value = recipe + seed + error by least squares. A seed covers everything random "
    "in a run, so runs of the same seed are compared as pairs.",
    "The error variance is pooled over candidates, since three seeds say little about one recipe; "
    "what a candidate's own noise shows beyond that is added, so that intervals hold though not "
    "all are equally noisy. Controls are made to be different: they keep their own variance, but "
    "never less than that.",
    "Intervals of differences are simultaneous: Tukey-Kramer over all pairs of candidates, "
    "Games-Howell over all pairs with a control. p-values are adjusted the same way. A control's "
    "comparison with the baseline is planned: t with its own degrees of freedom, "
    "Bonferroni over the controls.",
    "A verdict is better or worse if the interval leaves zero out, else cannot tell. The seeds "
    "that would settle it make a difference as large as the observed one significant: even odds, "
    "since the true difference may be smaller.",
    "A rank set runs from 1 + the number of recipes surely better to n - the number surely worse.",
    "P(best) is the share of 10,000 draws from the posterior of the candidates' means (flat prior) "
    "in which the recipe is lowest. It is too high for the first of many nearly equal recipes: "
    "where no verdict is sure, don't read it as odds.",
    "Bars in the ranking plot are comparison intervals, not intervals of the means: recipes differ "
    "if their bars don't overlap.",
    "Curricula are compared by paired differences with a variance pooled over arms (the pair's own "
    "if the arms are plainly not equally noisy), corrected for all comparisons by a max-t "
    "distribution and for domains by Bonferroni.",
    "Agreement between rankings leaves controls out. Decision accuracy is the share of pairs "
    "ordered alike; regret@1 is what the first ranking's best costs in the second.",
)

TURNED = (
    "The highest value is best here: values are ranked as losses, with their signs turned. Where "
    "this list says loss, lowest and above, read value, highest and below."
)


def cost_section(content: ReportContent) -> Markup | None:
    """Training FLOPs by stage."""
    costs = content.costs
    if not costs or not costs.stages:
        return None
    columns = [
        Column("Stage", numeric=False),
        Column("Runs"),
        Column("Tokens"),
        Column("Training"),
        Column("Share"),
    ]
    rows: list[list[Part | Value]] = [
        [
            stage.stage,
            Value(str(stage.runs), stage.runs),
            Value(formatting.quantity(stage.tokens), stage.tokens),
            Value(formatting.flops(stage.flops), stage.flops),
            Value(formatting.percent(costs.share(stage.stage)), stage.flops),
        ]
        for stage in costs.stages
    ]
    total = f"In all {formatting.counted(costs.runs, 'run')} and {formatting.flops(costs.flops)}."
    return markup.section(
        "cost",
        "Cost",
        markup.paragraph(total, class_="lead"),
        Markup(f'<div class="plain">{plots.to_svg(plots.costs_figure(costs), "costs")}</div>'),
        markup.table(columns, rows),
    )


def corpus_section(content: ReportContent) -> Markup | None:
    """Per recipe: what it is, documents, tokens per domain, documents dropped by reason."""
    corpus = content.corpus
    if corpus is None or not len(corpus):
        return None
    domains = list(dict.fromkeys(str(name) for name in corpus["domain"]))
    columns = [
        Column("Recipe", numeric=False),
        *([] if content.recipes is None else [Column("What it does", numeric=False, wrap=True)]),
        Column("Documents"),
        Column("Tokens"),
        *(Column(domain, hint="tokens") for domain in domains),
        Column("Dropped", numeric=False, wrap=True),
    ]
    return markup.section(
        "corpus", "Recipes and corpus", markup.table(columns, list(_recipes(content, domains)))
    )


def method_section(measure: Measure = LOSS) -> Markup:
    """What every interval means."""
    turned = (TURNED,) if measure.higher_is_better else ()
    items = (markup.tag("li", line) for line in (*turned, *METHOD))
    return markup.section("method", "Method", markup.tag("ol", *items))


def provenance_section(content: ReportContent) -> Markup | None:
    """Code, versions, device and the study itself."""
    if not content.provenance and not content.spec:
        return None
    facts = (
        item
        for label, fact in content.provenance.items()
        for item in (markup.tag("dt", label), markup.tag("dd", fact))
    )
    spec = markup.details("The study's YAML", markup.tag("pre", content.spec))
    return markup.section(
        "provenance", "Provenance", markup.tag("dl", *facts), spec if content.spec else None
    )


def _recipes(content: ReportContent, domains: list[str]) -> Iterator[list[Part | Value]]:
    corpus = content.corpus
    assert corpus is not None
    described = _descriptions(content)
    for name, rows in corpus.groupby("recipe", sort=False):
        tokens = rows.groupby("domain")["tokens"].sum()
        documents, total = int(rows["documents"].sum()), int(rows["tokens"].sum())
        what = [] if content.recipes is None else [described.get(str(name), "")]
        yield [
            str(name),
            *what,
            Value(f"{documents:,}", documents),
            Value(formatting.quantity(total), total),
            *(_tokens(int(tokens.get(domain, 0))) for domain in domains),
            _dropped(content, str(name)),
        ]


def _tokens(count: int) -> Value:
    return Value(formatting.quantity(count) if count else "", count)


def _descriptions(content: ReportContent) -> dict[str, str]:
    if content.recipes is None:
        return {}
    rows = content.recipes[["recipe", "description"]].itertuples(index=False)
    return {str(name): str(description) for name, description in rows}


def _dropped(content: ReportContent, recipe: str) -> str:
    if content.drops is None:
        return ""
    rows = content.drops[content.drops["recipe"] == recipe]
    counts = rows.groupby("reason", sort=False)["documents"].sum()
    return ", ".join(f"{reason} {int(count):,}" for reason, count in counts.items())
