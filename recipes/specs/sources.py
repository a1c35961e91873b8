"""Where documents come from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curricle.recipes.specs.base import Name, PositiveFloat, Spec, refuse
from curricle.recipes.specs.spectrum import SpectrumSource

PYTHON, DOCSTRINGS, HEADERS = "python", "docstrings", "headers"
PROSE, JAVASCRIPT, LICENCES = "prose", "javascript", "licences"
DOMAINS = (PYTHON, DOCSTRINGS, HEADERS, PROSE, JAVASCRIPT, LICENCES)
"""What documents a Python environment holds."""


class PythonEnvironmentSource(Spec):
    """The installed Python packages as a corpus of six domains; offline, and on every machine.

    `megabytes_per_domain` caps each domain; `packages` limits the scan to these distributions.
    """

    source: Literal["python-environment"]
    megabytes_per_domain: PositiveFloat = 1.0
    packages: tuple[str, ...] | None = None

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that its documents can have."""
        return DOMAINS


class RowsSource(Spec):
    """Base of the sources whose rows are documents: where they lie, and which column is what.

    The domain is `domain`, or is read from `domain_column`. Without `id_column` a document's id is
    its file and row, and so is its source without `source_column`.
    """

    path: str
    text_column: str = "text"
    id_column: str | None = None
    source_column: str | None = None
    domain: Name | None = None
    domain_column: str | None = None

    @model_validator(mode="after")
    def _one_domain(self) -> Self:
        if (self.domain is None) == (self.domain_column is None):
            refuse(
                "domain and domain_column both or neither given",
                "exactly one of them",
                "name the domain, or the column that holds it",
            )
        if self.domain == "average":
            refuse("domain 'average'", "another name: results use it for the mean", "rename it")
        return self

    @property
    def domains(self) -> tuple[str, ...] | None:
        """The domain of its documents; None where only they know."""
        return None if self.domain is None else (self.domain,)


class FilesSource(RowsSource):
    """Documents from files: Parquet, JSON Lines (also gzip or zstd), or plain text, one a file.

    `path` is a file, a folder or a glob: local, relative to the working directory, or a URL that
    fsspec knows, such as `s3://bucket/web/*.jsonl.zst`.
    """

    source: Literal["files"]


class HuggingFaceSource(RowsSource):
    """A Hugging Face dataset.

    `path` is `hf://datasets/OWNER/NAME`, which may go on with `@REVISION` and a glob of files, or
    a folder that `datasets` saved with `save_to_disk`. `split` is needed where there are several;
    of a dataset on the hub it takes the files that are named after it.
    """

    source: Literal["hugging-face"]
    split: str | None = None


Source = Annotated[
    PythonEnvironmentSource | FilesSource | HuggingFaceSource | SpectrumSource,
    Field(discriminator="source"),
]
