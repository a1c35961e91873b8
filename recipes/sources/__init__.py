"""Where documents come from. Each source has an identity (cheap, plain values) and a reader."""

from collections.abc import Iterator
from typing import Any

from curricle.recipes.documents import Document, Drops
from curricle.recipes.sources import files, hugging_face, python_environment
from curricle.recipes.specs.sources import HuggingFaceSource, PythonEnvironmentSource, Source
from curricle.recipes.specs.spectrum import SpectrumSource
from curricle.recipes.spectrum import generating as spectrum


def identity_of(source: Source) -> dict[str, Any]:
    """JSON values that change if and only if the source's content does."""
    if isinstance(source, PythonEnvironmentSource):
        return python_environment.identity(source)
    if isinstance(source, HuggingFaceSource):
        return hugging_face.identity(source)
    if isinstance(source, SpectrumSource):
        return spectrum.identity(source)
    return files.identity(source)


def read_source(source: Source, seed: int, drops: Drops) -> Iterator[Document]:
    """The source's documents, in an order that depends on content and `seed` alone."""
    if isinstance(source, PythonEnvironmentSource):
        return python_environment.read(source, seed, drops)
    if isinstance(source, HuggingFaceSource):
        return hugging_face.read(source, drops)
    if isinstance(source, SpectrumSource):
        return spectrum.read(source)
    return files.read(source, drops)
