"""What another sample of documents would change about recipes' means.

All recipes are measured on the same documents, so the documents' own difficulty cancels in every
difference. The covariance here is the one that drawing documents with replacement gives as the
number of draws grows: of a mean over D documents, the covariance over documents divided by D, with
D - 1 in the covariance, which a finite bootstrap lacks.

Shape suffixes: R recipes, D documents of a domain.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from curricle.analysis.results import AVERAGE
from curricle.core.bootstrap import LEAST_DOCUMENTS
from curricle.core.errors import InputError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DocumentNoise:
    """Covariance (R, R) of recipes' means over samples of documents, and its degrees of freedom."""

    covariance: Floats
    degrees_of_freedom: int

    def variances(self) -> Floats:
        """Variance of each difference of two means (R, R)."""
        own = np.diag(self.covariance)
        return np.clip(own[:, None] + own[None, :] - 2 * self.covariance, 0.0, None)

    def of(self, chosen: npt.NDArray[np.bool_]) -> "DocumentNoise":
        """The noise of some recipes."""
        return DocumentNoise(self.covariance[np.ix_(chosen, chosen)], self.degrees_of_freedom)


def without_documents(table: pd.DataFrame, rows: str) -> pd.DataFrame:
    """`table` with the mean over documents in place of one row per document; as it is without any.

    A run that lacks a document which others have in the same domain has no value there. Raises
    InputError for two values of the same run and document.
    """
    if "document" not in table.columns:
        return table
    keys = [rows, "seed", *_domain(table)]
    if bool((repeated := table.duplicated([*keys, "document"])).any()):
        row = table[repeated].iloc[0]
        raise InputError(
            f"two values for document {row['document']!r} of {rows} {row[rows]!r}, "
            f"seed {row['seed']!r}",
            expected="one value per run, domain and document",
            fix="remove one of them",
        )
    groups = table.groupby(keys, sort=False)["value"]
    means = groups.mean(skipna=False).reset_index()
    counts = groups.size().to_numpy()
    if domain := _domain(table):
        most = table.groupby(domain[0])["document"].nunique()
        complete = counts == means[domain[0]].map(most).to_numpy()
    else:
        complete = counts == table["document"].nunique()
    return means.assign(value=means["value"].where(complete))


def document_noise(table: pd.DataFrame, rows: str, names: list[str]) -> DocumentNoise | None:
    """The noise of the recipes `names`, whose means are taken over seeds and domains.

    None without a column `document`, with fewer than `LEAST_DOCUMENTS` in a domain, or where a
    recipe lacks a document.
    """
    if "document" not in table.columns:
        return None
    table = table[table[rows].isin(names)]
    groups = [group for _, group in table.groupby(_domain(table)[0])] if _domain(table) else [table]
    covariance, least = np.zeros((len(names), len(names))), np.inf
    for group in groups:
        means = group.pivot_table(index=rows, columns="document", values="value")
        values_RD = means.reindex(names).to_numpy(dtype=float)
        documents = values_RD.shape[1]
        if documents < LEAST_DOCUMENTS or not np.isfinite(values_RD).all():
            return None
        covariance += np.cov(values_RD) / documents
        least = min(least, documents)
    return DocumentNoise(covariance / len(groups) ** 2, int(least) - 1)


def _domain(table: pd.DataFrame) -> list[str]:
    """The column of domains, if there is one; `average` isn't one of them."""
    return ["domain"] if "domain" in table.columns and set(table["domain"]) - {AVERAGE} else []
