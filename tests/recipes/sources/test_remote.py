import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from tests.faulty_proxy import FaultyProxy, serve

from curricle.core import remote
from curricle.core.errors import InputError
from curricle.core.store import Request, Store
from curricle.recipes.documents import Document, Drops
from curricle.recipes.sources import identity_of, read_source
from curricle.recipes.specs.sources import FilesSource

TEXTS = [f"text number {number}" for number in range(50)]


def _source(path: str, **settings: Any) -> FilesSource:
    return FilesSource(source="files", path=path, domain="web", **settings)


def _read(source: FilesSource) -> list[Document]:
    return list(read_source(source, 0, Drops()))


@pytest.fixture
def files(bucket: str) -> Iterator[s3fs.S3FileSystem]:
    """The corpus `s3://studies/corpus` of a Parquet and two JSON Lines files."""
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    files.pipe_file("studies/corpus/a.jsonl", lines)
    files.pipe_file("studies/corpus/deep/b.jsonl.gz", gzip.compress(lines))
    with files.open("studies/corpus/c.parquet", "wb") as stream:
        pq.write_table(pa.table({"text": TEXTS}), stream)
    yield files
    files.rm("studies/corpus", recursive=True)


@pytest.fixture
def proxy(files: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy before the same bucket, which from now on is read and written through it."""
    limits = {**remote.S3_LIMITS, "retries": {"mode": "standard", "total_max_attempts": 2}}
    monkeypatch.setattr(remote, "S3_LIMITS", limits)
    proxy = FaultyProxy(os.environ["AWS_ENDPOINT_URL"])
    with serve(proxy) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        s3fs.S3FileSystem.clear_instance_cache()
        yield proxy
    s3fs.S3FileSystem.clear_instance_cache()


def test_remote_files_are_read_like_local_ones(files: s3fs.S3FileSystem, tmp_path: Path) -> None:
    files.get("studies/corpus", str(tmp_path), recursive=True)
    there, here = _read(_source("s3://studies/corpus")), _read(_source(str(tmp_path / "corpus")))
    assert there == here
    assert len(there) == 3 * len(TEXTS)
    names = {one.id.partition("#")[0] for one in _read(_source("s3://studies/corpus/**/*.gz"))}
    assert names == {"deep/b.jsonl.gz"}


def test_identity_is_the_stores_tag_and_downloads_nothing(
    files: s3fs.S3FileSystem, proxy: FaultyProxy
) -> None:
    proxy.fail("GET /studies/corpus/", 99)
    identity = identity_of(_source("s3://studies/corpus"))
    assert proxy.seen == 0
    assert [[name, size] for name, size, _ in identity["files"]] == [
        ["a.jsonl", files.size("studies/corpus/a.jsonl")],
        ["c.parquet", files.size("studies/corpus/c.parquet")],
        ["deep/b.jsonl.gz", files.size("studies/corpus/deep/b.jsonl.gz")],
    ]
    files.pipe_file("studies/corpus/a.jsonl", b'{"text": "x"}\n')
    assert identity_of(_source("s3://studies/corpus")) != identity


def test_a_server_that_fails_now_and_then_is_asked_again(proxy: FaultyProxy) -> None:
    proxy.fail("GET /studies/corpus/a.jsonl", 1)
    assert [one.text for one in _read(_source("s3://studies/corpus/a.jsonl"))] == TEXTS
    assert proxy.seen == 2


def test_a_server_that_keeps_failing_is_one_error_that_names_the_file(proxy: FaultyProxy) -> None:
    proxy.fail("GET /studies/corpus/a.jsonl", 99)
    with pytest.raises(InputError, match=r"s3://studies/corpus/a\.jsonl: can't be read from row 0"):
        _read(_source("s3://studies/corpus/a.jsonl"))
    assert proxy.seen == 2


def test_a_server_that_doesnt_answer_in_time_is_an_error(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"read_timeout": 1, "retries": {"mode": "standard", "total_max_attempts": 1}}
    monkeypatch.setattr(remote, "S3_LIMITS", limits)
    monkeypatch.setattr(remote, "S3FS_ATTEMPTS", 1)
    proxy.fail("GET /studies/corpus/a.jsonl", 99, seconds=2)
    with pytest.raises(InputError, match=r"a\.jsonl: can't be read from row 0"):
        _read(_source("s3://studies/corpus/a.jsonl"))


def test_a_shard_that_vanishes_after_listing_is_an_error(files: s3fs.S3FileSystem) -> None:
    documents = read_source(_source("s3://studies/corpus"), 0, Drops())
    assert next(documents).id == "a.jsonl#0"
    files.rm("studies/corpus/c.parquet")
    with pytest.raises(InputError, match=r"s3://studies/corpus/c\.parquet: can't be read from"):
        list(documents)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://studies/nothing", "does not exist"),
        ("s3://studies/corpus/*.txt", "matches no file"),
        ("s3://no-such-bucket/x", "does not exist"),
        ("nonsense://x/y", "Protocol not known"),
    ],
)
def test_addresses_without_files_are_named(
    files: s3fs.S3FileSystem, path: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        identity_of(_source(path))


def test_missing_credentials_are_one_error(
    files: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match="NoCredentialsError.*credentials in the environment"):
        identity_of(_source("s3://studies/corpus"))
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_store_is_written_through_failures_or_not_at_all(
    proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path))
    store = Store("s3://studies/store")

    def build(folder: Path) -> None:
        (folder / "numbers.txt").write_text("1 2 3")

    proxy.fail("PUT /studies/store/order", 1)
    kept = store.produce(Request("order", "a", {}), build)
    assert store.verify(kept) == []
    proxy.fail("PUT /studies/store/order", 99)
    with pytest.raises(InputError, match=r"store s3://studies/store: .*Service Unavailable"):
        store.produce(Request("order", "b", {}), build)
    proxy.fail("", 0)
    assert list(store.artifacts()) == [kept]
