"""Where documents come from. Each source has an identity (cheap, plain values) and readers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from curricle.recipes.documents import Document, Drops
from curricle.recipes.sources import files, hugging_face, python_environment
from curricle.recipes.sources.source_files import SourceFile
from curricle.recipes.specs.sources import HuggingFaceSource, PythonEnvironmentSource, Source
from curricle.recipes.specs.spectrum import SpectrumSource
from curricle.recipes.spectrum import generating as spectrum


class Part(NamedTuple):
    """What is read in one go: a file of a source, or without one the whole source."""

    source: Source
    file: SourceFile | None = None

    @property
    def size(self) -> int:
        """Bytes to read, as far as they are known."""
        return self.file.size if self.file else 0


def identity_of(source: Source) -> dict[str, Any]:
    """JSON values that change if and only if the source's content does."""
    if isinstance(source, PythonEnvironmentSource):
        return python_environment.identity(source)
    if isinstance(source, HuggingFaceSource):
        return hugging_face.identity(source)
    if isinstance(source, SpectrumSource):
        return spectrum.identity(source)
    return files.identity(source)


def parts_of(source: Source, drops: Drops) -> list[Part]:
    """The source's parts, in turn; files of unknown formats are counted in `drops`."""
    if isinstance(source, PythonEnvironmentSource | SpectrumSource):
        # The caps of the first hold over all its files; the second has none.
        return [Part(source)]
    found = (
        hugging_face.files_of(source)
        if isinstance(source, HuggingFaceSource)
        else files.files_of(source, drops)
    )
    return [Part(source, file) for file in found]


def read_part(part: Part, seed: int, drops: Drops) -> Iterator[Document]:
    """The part's documents, in an order that depends on content and `seed` alone.

    Null or blank text, invalid UTF-8, lone surrogates, NUL bytes and rows without a domain are
    counted in `drops`. Raises InputError for whatever is wrong with a file as a whole.
    """
    if isinstance(part.source, PythonEnvironmentSource):
        return python_environment.read(part.source, seed, drops)
    if isinstance(part.source, SpectrumSource):
        return spectrum.read(part.source)
    assert part.file is not None
    return files.read_file(part.source, part.file, drops)


def read_source(source: Source, seed: int, drops: Drops) -> Iterator[Document]:
    """The documents of all parts, in turn."""
    for part in parts_of(source, drops):
        yield from read_part(part, seed, drops)
