from collections import Counter
from pathlib import Path

import pytest
from tests.recipes.conftest import Install
from tests.recipes.made_up import package, prose, python_code

from curricle.core.errors import InputError
from curricle.recipes.documents import Document, Drops
from curricle.recipes.sources import identity_of, read_source
from curricle.recipes.sources.installed import InstalledFile
from curricle.recipes.specs.sources import DOMAINS, PythonEnvironmentSource

LONG = PythonEnvironmentSource(source="python-environment", megabytes_per_domain=10.0)


def _read(source: PythonEnvironmentSource = LONG, seed: int = 0) -> list[Document]:
    return list(read_source(source, seed, Drops()))


def _with_dropped() -> tuple[list[Document], Drops]:
    drops = Drops()
    return list(read_source(LONG, 0, drops)), drops


def test_a_package_feeds_exactly_six_domains(install: Install) -> None:
    install("pack1", package(1), description=prose(99))
    documents = _read()
    assert Counter(one.domain for one in documents) == {
        "python": 4,
        "docstrings": 4 * 6,
        "headers": 3,
        "prose": 4,
        "javascript": 3,
        "licences": 3,
    }
    assert set(DOMAINS) == {one.domain for one in documents}
    sources = {one.domain: one.source for one in documents}
    assert sources["python"].startswith("pack1/pack1/m")
    assert len({one.id for one in documents}) == len(documents)


def test_a_docstring_names_its_function_and_shares_the_group_of_its_file(install: Install) -> None:
    install("pack1", {"pack1/m.py": python_code(5, functions=1)})
    code, docstring = _read()
    assert docstring.group == code.group == code.source == code.id == "pack1/pack1/m.py"
    assert docstring.source.startswith("pack1/pack1/m.py::")
    assert docstring.source.endswith("_5_0")
    assert len(docstring.text) >= 200


def test_place_file_order_and_search_order_dont_show(install: Install) -> None:
    packages = [(f"pack{seed}", package(seed)) for seed in (1, 2, 3)]
    for name, files in packages:
        install(name, files, site="here")
    one, identity = _read(), identity_of(LONG)
    for name, files in reversed(packages):
        install(name, dict(reversed(files.items())), site=f"there/{name}", first=True)
    # Every package is now found twice, in the other order.
    assert _read() == one
    assert identity_of(LONG) == identity


def test_the_seed_decides_the_sample_and_the_cap_its_size(install: Install) -> None:
    for seed in (1, 2, 3):
        install(f"pack{seed}", package(seed))
    capped = PythonEnvironmentSource(source="python-environment", megabytes_per_domain=0.002)
    everything = {one.id for one in _read()}
    samples = [{one.id for one in _read(capped, seed)} for seed in range(4)]
    assert all(sample < everything for sample in samples)
    assert len(set(map(frozenset, samples))) > 1
    for domain in DOMAINS:
        sizes = [len(one.text.encode()) for one in _read(capped) if one.domain == domain]
        # The document that reaches the cap is the last.
        assert sum(sizes[:-1]) < 2_000 <= sum(sizes)


def test_nothing_is_read_once_all_caps_are_reached(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("pack1", package(1, modules=40))
    read: list[str] = []
    original = InstalledFile.read_bytes

    def counting(file: InstalledFile) -> bytes:
        read.append(file.path)
        return original(file)

    monkeypatch.setattr(InstalledFile, "read_bytes", counting)
    source = PythonEnvironmentSource(source="python-environment", megabytes_per_domain=0.001)
    _read(source)
    assert 0 < sum(path.endswith(".py") for path in read) <= 2


@pytest.mark.parametrize(("megabytes", "parts"), [(0.06, 1), (0.6, 3), (1.0, 5)])
def test_long_files_are_cut_and_fill_a_tenth_of_the_cap_at_most(
    install: Install, megabytes: float, parts: int
) -> None:
    text = "".join(prose(seed) for seed in range(400))
    assert len(text) > 6 * 20_000
    install("pack1", {"pack1/long.md": text})
    drops = Drops()
    source = LONG.model_copy(update={"megabytes_per_domain": megabytes})
    documents = list(read_source(source, 0, drops))
    names = [f"pack1/pack1/long.md#part={number + 1}" for number in range(parts)]
    assert [one.id for one in documents] == names
    assert {one.source for one in documents} == {"pack1/pack1/long.md"}
    joined = "".join(one.text for one in documents)
    assert text.startswith(joined)
    assert joined.endswith("\n")
    assert all(200 <= len(one.text) <= 20_000 for one in documents)
    assert drops.to_plain()["part-beyond-limit"]["prose"] >= 1


def test_what_cant_be_a_document_has_a_reason(install: Install) -> None:
    files: dict[str, str | bytes] = {
        "pack1/short.md": "Too short.",
        "pack1/latin.md": prose(1).encode() + b"\xe9",
        "pack1/nul.py": "x = 1\n" * 100 + "\0",
        "pack1/bad.py": "def f(:\n" + '    """' + prose(3),
        "pack1/table.txt": "1 2 3 4\n" * 100,
        "pack1/packed.js": "x=1;" * 500,
        "pack1/good.md": prose(2),
        "pack1/gone.h": prose(4),
    }
    site = install("pack1", files)
    (site / "pack1/gone.h").unlink()
    documents, drops = _with_dropped()
    assert [one.id for one in documents] == ["pack1/pack1/bad.py", "pack1/pack1/good.md"]
    assert drops.to_plain() == {
        "invalid-utf8": {"prose": 1},
        "minified": {"javascript": 1},
        "not-prose": {"prose": 1},
        "nul-byte": {"python": 1},
        "too-short": {"prose": 2},
        "unparsable-python": {"docstrings": 1},
        "unreadable-file": {"headers": 1},
    }


def test_own_code_editable_installs_and_outside_files_are_left_out(install: Install) -> None:
    install("curricle", {"curricle/a.md": prose(1)})
    install("mine", {"mine/a.md": prose(2)}, editable=True)
    install("pack1", {"pack1/a.md": prose(3), "../outside.md": prose(4)})
    assert [one.id for one in _read()] == ["pack1/pack1/a.md"]


def test_a_file_of_two_distributions_is_read_once(install: Install) -> None:
    shared = {"shared/a.md": prose(1)}
    install("zeta", shared)
    install("alpha", shared)
    assert [one.id for one in _read()] == ["alpha/shared/a.md"]


def test_packages_limit_the_scan_and_must_exist(install: Install) -> None:
    install("Pack.One", {"one/a.md": prose(1)})
    install("pack2", {"two/a.md": prose(2)})
    limited = LONG.model_copy(update={"packages": ("pack-one",)})
    assert [one.id for one in _read(limited)] == ["pack-one/one/a.md"]
    wrong = LONG.model_copy(update={"packages": ("pack3",)})
    with pytest.raises(InputError, match=r"'pack3' isn't installed .*did you mean pack2\?"):
        identity_of(wrong)


def test_identity_changes_with_the_content_and_nothing_else(install: Install) -> None:
    files: dict[str, str | bytes] = {"pack1/a.py": python_code(1), "pack1/data.json": "{}"}
    install("pack1", files)
    identity = identity_of(LONG)
    install("pack1", {**files, "pack1/data.json": "[]", "pack1/x.so": b"\0"})
    assert identity_of(LONG) == identity
    install("pack1", {**files, "pack1/a.py": python_code(2)})
    changed = identity_of(LONG)
    assert changed != identity
    install("pack2", {"pack2/a.md": prose(1)})
    assert identity_of(LONG) != changed
    assert identity_of(LONG.model_copy(update={"megabytes_per_domain": 1.0})) != changed


def test_the_real_environment_is_a_corpus_and_stable() -> None:
    source = PythonEnvironmentSource(source="python-environment", megabytes_per_domain=0.05)
    one, other = _read(source), _read(source)
    assert one == other
    assert {"python", "docstrings", "prose", "licences"} <= {document.domain for document in one}
    assert not any(Path(document.source).is_absolute() for document in one)
