"""Where documents come from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curricle.recipes.specs.base import Name, PositiveFloat, Spec, refuse


class PythonEnvironmentSource(Spec):
    """The installed Python packages as a corpus of six domains; offline, and on every machine.

    `megabytes_per_domain` caps each domain; `packages` limits the scan to these distributions.
    """

    source: Literal["python-environment"]
    megabytes_per_domain: PositiveFloat = 1.0
    packages: tuple[str, ...] | None = None


class FilesSource(Spec):
    """Documents from local files: Parquet, JSON Lines (`.jsonl`, also `.gz`), or plain text.

    `path` is a file, a folder or a glob, relative to the working directory. The domain is `domain`,
    or is read from `domain_column`.
    """

    source: Literal["files"]
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


Source = Annotated[PythonEnvironmentSource | FilesSource, Field(discriminator="source")]
