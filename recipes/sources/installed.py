"""The files of the installed distributions, listed from their RECORDs, the same in any order.

Paths are relative to the site-packages folder, so that neither its place nor the order of the
file system or of `sys.path` can be seen in what is listed.
"""

import csv
import difflib
import functools
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from curricle.core.errors import InputError

OWN_NAME = "curricle"


@dataclass(frozen=True, order=True)
class InstalledFile:
    """One file: owner, path below site-packages, hash and size from the RECORD, where it lies."""

    distribution: str
    path: str
    digest: str
    size: int
    site_packages: Path

    @property
    def key(self) -> str:
        """`<distribution>/<path>`: how documents name the file."""
        return f"{self.distribution}/{self.path}"

    def read_bytes(self) -> bytes:
        """The file's content. Raises OSError if it has gone or can't be read."""
        return (self.site_packages / self.path).read_bytes()


@dataclass(frozen=True)
class Distribution:
    """An installed distribution with those of its files that the listing was asked for."""

    name: str
    version: str
    files: tuple[InstalledFile, ...]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over paths and hashes of the files."""
        lines = "".join(f"{file.path}\0{file.digest}\n" for file in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()


def installed_distributions(
    packages: Collection[str] | None, wanted: Callable[[str], bool]
) -> list[Distribution]:
    """Distributions sorted by name, with their files whose path is `wanted`.

    Curricle itself, editable installs and files outside site-packages are left out. Of one name on
    several paths the highest (version, digest) counts. Raises InputError if `packages` names one
    that isn't installed.
    """
    chosen = None if packages is None else {normalized(name) for name in packages}
    found: dict[str, Distribution] = {}
    for installed in importlib.metadata.distributions():
        distribution = _distribution(installed, chosen, wanted)
        if distribution is None:
            continue
        known = found.get(distribution.name, distribution)
        found[distribution.name] = max(
            known, distribution, key=lambda one: (one.version, one.digest)
        )
    for name in sorted((chosen or set()) - set(found)):
        raise _not_installed(name)
    return [found[name] for name in sorted(found)]


def distinct_files(distributions: list[Distribution]) -> Iterator[InstalledFile]:
    """Every path once: files that two distributions claim belong to the first by name."""
    seen: set[str] = set()
    for distribution in distributions:
        for file in distribution.files:
            if file.path not in seen:
                seen.add(file.path)
                yield file


def normalized(name: str) -> str:
    """A distribution's name in the spelling of PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distribution(
    installed: importlib.metadata.Distribution,
    chosen: Collection[str] | None,
    wanted: Callable[[str], bool],
) -> Distribution | None:
    record = installed.read_text("RECORD")
    metadata = installed.metadata  # parsed anew at each access
    name = normalized(metadata["Name"] or "")
    if not record or not name or name == OWN_NAME or _is_editable(installed):
        return None
    if chosen is not None and name not in chosen:
        return None
    site_packages = Path(str(installed.locate_file(""))).resolve()
    files = sorted(
        InstalledFile(name, path, digest, int(size or 0), site_packages)
        for path, digest, size in _hashed_entries(record)
        if _is_inside(path) and wanted(path)
    )
    return Distribution(name, metadata["Version"] or "", tuple(files))


def _hashed_entries(record: str) -> Iterator[tuple[str, str, str]]:
    # Half of all entries are byte code; dropping them first halves the cost of parsing.
    lines = (line for line in record.splitlines() if ".pyc," not in line)
    for row in csv.reader(lines):
        if len(row) == 3 and row[1]:
            yield row[0], row[1], row[2]


def _is_inside(path: str) -> bool:
    return not path.startswith(("/", "../")) and "/../" not in path


def _is_editable(installed: importlib.metadata.Distribution) -> bool:
    origin = installed.read_text("direct_url.json")
    return bool(origin and json.loads(origin).get("dir_info", {}).get("editable"))


def _not_installed(name: str) -> InputError:
    names = (one.metadata["Name"] for one in importlib.metadata.distributions())
    close = difflib.get_close_matches(name, map(normalized, filter(None, names)), n=1)
    return InputError(
        f"package {name!r} isn't installed (or is an editable install)",
        expected="installed distributions in packages",
        fix=f"did you mean {close[0]}?" if close else f"pip install {name}, or leave it out",
    )
