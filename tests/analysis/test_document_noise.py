"""What other documents would change: against a bootstrap over documents, and in its corners."""

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.document_noise import document_noise, without_documents
from curricle.analysis.ranking import rank
from curricle.core.errors import InputError

RECIPES = ["a", "b", "c"]


def _table(documents: int = 40, seeds: int = 3, spread: float = 0.2) -> pd.DataFrame:
    random = np.random.default_rng(documents)
    rows = []
    for domain, count in (("web", documents), ("code", documents // 2)):
        difficulty = random.gamma(4, 1, count)
        own = random.normal(0, spread, (3, count))
        for place, recipe in enumerate(RECIPES):
            for seed in range(seeds):
                shift = 0.1 * place + random.normal(0, 0.01)
                values = difficulty + own[place] + shift
                rows += [(recipe, seed, domain, f"{k}", value) for k, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["recipe", "seed", "domain", "document", "value"])


def test_variances_are_those_of_a_bootstrap_over_documents() -> None:
    table = _table()
    found = document_noise(table, "recipe", RECIPES)
    assert found is not None
    assert found.degrees_of_freedom == 19
    random, draws = np.random.default_rng(0), []
    means = table.pivot_table(index=["domain", "recipe"], columns="document", values="value")
    for _ in range(4000):
        parts = []
        for _, group in means.groupby(level="domain"):
            values = group.dropna(axis="columns").to_numpy()
            parts.append(values[:, random.integers(0, values.shape[1], values.shape[1])].mean(1))
        draws.append(np.mean(parts, axis=0))
    differences = np.array(draws)[:, :, None] - np.array(draws)[:, None, :]
    np.testing.assert_allclose(found.variances(), differences.var(axis=0), rtol=0.1, atol=1e-12)


def test_a_ranking_over_documents_is_that_of_their_means_with_wider_intervals() -> None:
    table = _table()
    means = without_documents(table, "recipe")
    assert len(means) == 3 * 3 * 2
    whole, collapsed = rank(table, "a"), rank(means, "a")
    assert [item.mean for item in whole.recipes] == [item.mean for item in collapsed.recipes]
    wide, narrow = whole.pairs[0], collapsed.pairs[0]
    assert (wide.high or 0) - (wide.low or 0) > 2 * ((narrow.high or 0) - (narrow.low or 0))
    assert not {"few-documents"} & {caution.name for caution in whole.cautions}


def test_few_or_unlike_documents_are_told() -> None:
    few = rank(_table(documents=8), "a")
    assert "few-documents" in {caution.name for caution in few.cautions}
    table = _table()
    lacking = table[~((table["recipe"] == "b") & (table["document"] == "3"))]
    assert document_noise(lacking, "recipe", RECIPES) is None
    ranking = rank(lacking, "a")
    assert ranking.missing == ("b",)


def test_a_repeated_document_is_an_input_error() -> None:
    table = _table()
    with pytest.raises(InputError, match="two values for document '0' of recipe 'a', seed"):
        rank(pd.concat([table, table[:1]]), "a")
