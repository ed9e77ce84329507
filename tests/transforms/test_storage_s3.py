# ruff: noqa: SIM117 - what is in reach, and what is expected, are two things
"""Object stores: the same promises as a local folder, over a real S3 server and over one that makes trouble."""

import asyncio
import hashlib
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise

import botocore.session
import pytest
from botocore.retries.standard import ExponentialBackoff
from helpers.s3 import HANG, PASS, RESET, environment_of, reaching, serving_s3, troubled

from transforms import storage
from transforms.storage import remote


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with serving_s3(tmp_path_factory.mktemp("s3") / "root") as server, reaching(server.environment):
        yield server


@pytest.fixture
def folder(s3, request) -> str:
    return f"{s3.url}/{request.node.name.replace('[', '-').replace(']', '')}"


def files_of(s3, folder: str) -> list[str]:
    """Names of the plain files behind a folder's objects, hidden ones included."""
    place = s3.folder / folder.removeprefix(f"{s3.url}/")
    return sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())


def put_elsewhere(s3, folder: str, name: str, data: bytes = b"x") -> None:
    """As another process would: through the server, past fsspec."""
    bucket, _, key = f"{folder}/{name}".removeprefix("s3://").partition("/")
    client_of(s3.endpoint).put_object(Bucket=bucket, Key=key, Body=data)


@lru_cache
def client_of(endpoint: str):
    return botocore.session.get_session().create_client("s3", endpoint_url=endpoint)


# a healthy server


def test_what_is_published_is_read(folder):
    path = storage.join(folder, "a", "object")
    assert not storage.exists(path)
    before_s = time.time()
    storage.publish(path, b"0123456789")
    assert storage.exists(path)
    assert storage.size_bytes(path) == 10
    assert storage.read_bytes(path) == b"0123456789"
    assert storage.read_text(path) == "0123456789"
    assert int(before_s) <= storage.modified_s(path) <= time.time()  # S3 says whole seconds
    storage.publish(path, b"again")
    assert storage.read_bytes(path) == b"again"
    storage.delete(path)
    storage.delete(path)
    assert not storage.exists(path)


def test_an_object_that_is_written_again_at_the_same_size_has_another_mark(folder):
    path = f"{folder}/t.csv"
    marks = []
    for data in (b"one", b"two", b"two"):
        storage.publish(path, data)
        marks.append(storage.mark_of(path))
    assert marks[0] != marks[1] == marks[2]
    assert marks[0].startswith("ETag=")


def test_a_missing_object_is_a_clear_error(folder):
    for read in (storage.read_bytes, storage.open_for_reading, storage.size_bytes, storage.sha256_of):
        with pytest.raises(storage.StorageError, match=f"cannot read {folder}/missing: there is no such object"):
            read(f"{folder}/missing")


def test_ranges_are_like_those_of_a_file(folder):
    storage.publish(f"{folder}/x", b"0123456789")
    assert storage.read_range(f"{folder}/x", 3, 4) == b"3456"
    assert storage.read_range(f"{folder}/x", 8, 5) == b"89"
    assert storage.read_range(f"{folder}/x", 10, 5) == b""
    assert storage.read_range(f"{folder}/x", 3, 0) == b""
    storage.publish(f"{folder}/empty", b"")
    assert storage.read_range(f"{folder}/empty", 0, 5) == b""
    assert storage.read_bytes(f"{folder}/empty") == b""


def test_a_large_object_is_uploaded_in_parts_and_read_by_ranges(s3, folder):
    data = os.urandom(1 << 20) * 40
    storage.publish(f"{folder}/large", data)
    assert files_of(s3, folder) == ["large"]
    with storage.open_for_reading(f"{folder}/large") as file:
        assert isinstance(file, io.BufferedReader)  # not the whole of it in memory
        file.seek(-5, 2)
        assert file.read() == data[-5:]
        file.seek(12_345_678)
        assert file.read(9_000_000) == data[12_345_678 : 12_345_678 + 9_000_000]
        assert file.tell() == 12_345_678 + 9_000_000
    assert storage.sha256_of(f"{folder}/large") == hashlib.sha256(data).hexdigest()


def test_a_failed_write_leaves_nothing(s3, folder):
    with pytest.raises(KeyError), storage.publishing(f"{folder}/object") as file:
        file.write(b"half")
        raise KeyError
    assert files_of(s3, folder) == []


def test_the_first_of_two_attempts_stays(s3, folder):
    storage.publish(f"{folder}/object", b"first", keep_first=True)
    storage.publish(f"{folder}/object", b"second", keep_first=True)
    assert storage.read_bytes(f"{folder}/object") == b"first"
    assert files_of(s3, folder) == ["object"]


def test_more_than_a_page_of_keys(s3, folder):
    names = ["below/y", *(f"part-{number:05d}.parquet" for number in range(1205))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(put_elsewhere, s3, folder), names))
    names = storage.list_names(folder)
    assert names == ["below", *(f"part-{n:05d}.parquet" for n in range(1205))]
    assert storage.list_names(folder, "part-0120*") == [f"part-0120{n}.parquet" for n in range(5)]
    assert storage.list_names(f"{folder}/missing") == []
    assert len(storage.glob_files(f"{folder}/*.parquet")) == 1205
    gone = storage.sweep(folder, {"part-00007.parquet"})
    assert len(gone) == 1204
    assert files_of(s3, folder) == ["below/y", "part-00007.parquet"]
    storage.delete_folder(folder)
    storage.delete_folder(folder)
    assert files_of(s3, folder) == []


def test_a_pattern_finds_urls_at_any_depth(folder):
    for name in ("a.csv", "below/b.csv", "below/c.txt"):
        storage.publish(f"{folder}/{name}", b"")
    assert storage.glob_files(f"{folder}/*.csv") == [f"{folder}/a.csv"]
    assert storage.glob_files(f"{folder}/**/*.csv") == [f"{folder}/a.csv", f"{folder}/below/b.csv"]
    assert storage.glob_files(f"{folder}/below/c.txt") == [f"{folder}/below/c.txt"]
    assert storage.glob_files(f"{folder}/no*.csv") == []


@pytest.mark.parametrize("local", [True, False])
def test_a_name_that_looks_like_a_pattern_stands_for_itself_first(folder, tmp_path, local):
    base = str(tmp_path) if local else folder
    names = ("photos [2019]/a.csv", "photos [2019]/b.csv", "photos 2/c.csv", "b[1].csv", "b1.csv", "*.csv", "what?.csv")
    for name in names:
        storage.publish(f"{base}/{name}", b"")

    def found(pattern):
        return [path.removeprefix(f"{base}/") for path in storage.glob_files(f"{base}/{pattern}")]

    assert found("photos [2019]/*.csv") == ["photos [2019]/a.csv", "photos [2019]/b.csv"]
    assert found("photos [0-9]/*.csv") == ["photos 2/c.csv"]
    assert found("**/a.csv") == ["photos [2019]/a.csv"]
    assert found("b[1].csv") == ["b[1].csv"]
    assert found("b[0-9].csv") == ["b1.csv"]
    assert found("*.csv") == ["*.csv"]
    assert found("what?.csv") == ["what?.csv"]
    assert found("w*.csv") == ["what?.csv"]


def test_names_that_look_like_patterns_are_deleted_alone(s3, folder):
    for name in ("a", "[ab]", "*"):
        storage.publish(f"{folder}/{name}", b"")
    assert storage.sweep(folder, {"a"}) == ["*", "[ab]"]
    assert files_of(s3, folder) == ["a"]


def test_what_another_process_writes_is_seen_at_once(s3, folder):
    storage.publish(f"{folder}/mine", b"")
    assert storage.list_names(folder) == ["mine"]
    assert not storage.exists(f"{folder}/theirs")
    put_elsewhere(s3, folder, "theirs", b"1")
    assert storage.list_names(folder) == ["mine", "theirs"]
    assert storage.size_bytes(f"{folder}/theirs") == 1
    put_elsewhere(s3, folder, "theirs", b"22")
    assert storage.size_bytes(f"{folder}/theirs") == 2


def test_threads_loops_and_forks(folder):
    """Fetch calls from inside its own running loop; Beam has threads; a fork inherits what its parent used."""

    async def inside() -> bytes:
        storage.publish(f"{folder}/loop", b"loop")
        return storage.read_bytes(f"{folder}/loop")

    assert asyncio.run(inside()) == b"loop"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: storage.publish(f"{folder}/t{n}", b"%d" % n), range(40)))
        assert list(pool.map(lambda n: storage.read_bytes(f"{folder}/t{n}"), range(40))) == [
            b"%d" % n for n in range(40)
        ]
    child = os.fork()
    if child == 0:
        threading.Timer(20, os._exit, [2]).start()
        storage.publish(f"{folder}/child", b"child")
        os._exit(0 if storage.read_bytes(f"{folder}/loop") == b"loop" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert storage.read_bytes(f"{folder}/child") == b"child"


def test_the_folder_is_probed_and_left_clean(s3, folder):
    storage.check_folder(folder)
    assert files_of(s3, folder) == []


# troubled servers


@pytest.mark.parametrize("answer", ["503 SlowDown", "500 InternalError", "429 TooManyRequests", RESET])
def test_a_busy_server_is_asked_again_later_and_later(s3, folder, answer, monkeypatch):
    """Its log shows that the waits grow. They are random, between nothing and twice of what is drawn here."""
    drawn = (ExponentialBackoff.__init__.__defaults__[0], lambda: 0.9, *ExponentialBackoff.__init__.__defaults__[2:])
    monkeypatch.setattr(ExponentialBackoff.__init__, "__defaults__", drawn)
    with troubled(s3, lambda method, target, before: answer if before < 4 else PASS) as front:
        with reaching(front.environment):
            storage.publish(f"{folder}/object", b"x")
            assert storage.read_bytes(f"{folder}/object") == b"x"
    assert [asked.fate for asked in front.log] == [answer] * 4 + [PASS] * 2
    times = [asked.at_s for asked in front.log]
    waits = [later - earlier for earlier, later in pairwise(times[:5])]
    assert waits[-1] == max(waits)
    assert times[4] - times[0] > 0.3
    assert files_of(s3, folder) == ["object"]


def test_a_server_that_stays_busy_is_given_up(s3, folder, monkeypatch):
    monkeypatch.setattr(remote, "ATTEMPTS", 1)
    with troubled(s3, lambda *_: "503 SlowDown") as front, reaching(front.environment):
        with pytest.raises(storage.StorageError, match=r"cannot write s3://.*SlowDown.*run the same command again"):
            storage.publish(f"{folder}/object", b"x")
    assert len(front.log) == 5
    assert files_of(s3, folder) == []


def test_one_ranged_read_is_one_request(s3, folder):
    storage.publish(f"{folder}/object", b"x" * 100_000)
    with troubled(s3, lambda *_: PASS) as front, reaching(front.environment):
        assert len(storage.read_range(f"{folder}/object", 10, 20)) == 20
    assert [(a.method, a.range) for a in front.log] == [("GET", "bytes=10-29")]


def test_an_upload_that_breaks_off_leaves_nothing_and_is_aborted(s3, folder, monkeypatch):
    monkeypatch.setattr(remote, "ATTEMPTS", 1)
    with troubled(s3, lambda m, target, _: "403 AccessDenied" if "partNumber=2" in target else PASS) as front:
        with reaching(front.environment), pytest.raises(storage.StorageError, match="no permission"):
            storage.publish(f"{folder}/large", bytes(40 << 20))
    assert "DELETE" in [asked.method for asked in front.log if "uploadId" in asked.target]
    assert files_of(s3, folder) == []


def test_an_upload_whose_line_breaks_is_repeated(s3, folder):
    broken = []

    def once(method: str, target: str, before: int) -> str:
        if "partNumber=2" in target and not broken:
            broken.append(target)
            return RESET
        return PASS

    data = os.urandom(1 << 20) * 40
    with troubled(s3, once) as front, reaching(front.environment):
        storage.publish(f"{folder}/large", data)
    assert RESET in [asked.fate for asked in front.log]
    assert storage.read_bytes(f"{folder}/large") == data
    assert files_of(s3, folder) == ["large"]


def test_two_that_write_first_at_once(s3, folder):
    """A store that knows conditional writes refuses the later one; that is no error."""
    asked_if = []

    def there(method: str, target: str, before: int) -> str:
        if method == "PUT":
            asked_if.append(target)
            return "412 PreconditionFailed"
        return PASS

    with troubled(s3, there) as front, reaching(front.environment):
        storage.publish(f"{folder}/object", b"x", keep_first=True)
    assert len(asked_if) == 1
    with troubled(s3, lambda m, t, n: "501 NotImplemented" if m == "PUT" and n < 3 else PASS) as front:
        with reaching(front.environment):
            storage.publish(f"{folder}/plain", b"x", keep_first=True)
    assert files_of(s3, folder) == ["plain"]


# found before work


@pytest.mark.parametrize(("answer", "says"), [
    ("403 AccessDenied", "no permission (AccessDenied); ask for leave"),
    ("404 NoSuchBucket", "there is no such bucket (NoSuchBucket); make it first"),
    ("403 ExpiredToken", "does not accept the credentials (ExpiredToken); check AWS_ACCESS_KEY_ID"),
    ("503 SlowDown", "too busy or out of order (SlowDown)"),
    (HANG, "does not answer; check the network, and AWS_ENDPOINT_URL"),
    (RESET, "does not answer; check the network, and AWS_ENDPOINT_URL"),
])  # fmt: skip
def test_a_folder_that_cannot_be_used(s3, folder, answer, says):
    with troubled(s3, lambda *_: answer) as front, reaching(front.environment):
        with pytest.raises(storage.StorageError) as caught:
            storage.check_folder(folder)
        patience = remote.reached(folder, hurried=True)[0].config_kwargs
    assert says in str(caught.value)
    assert folder in str(caught.value)
    assert "\n" not in str(caught.value)
    assert 1 <= len(front.log) <= (4 if answer == RESET else 2)  # the client sends once more where the line breaks
    assert 2 * (patience["connect_timeout"] + patience["read_timeout"]) < remote.PROBE_S <= 30  # what it may take


def test_no_and_wrong_credentials(s3, folder):
    wrong = environment_of(s3.endpoint, secret="not the secret")
    with reaching(wrong), pytest.raises(storage.StorageError, match="does not accept the credentials") as caught:
        storage.check_folder(folder)
    assert "not the secret" not in str(caught.value)
    unknown = environment_of(s3.endpoint, key="nobody")
    with reaching(unknown), pytest.raises(storage.StorageError, match="does not accept the credentials"):
        storage.check_folder(folder)


def test_no_credentials_at_all(s3, folder, monkeypatch):
    with reaching(s3.environment):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(storage.StorageError, match="no credentials for it; set AWS_ACCESS_KEY_ID"):
            storage.check_folder(folder)


def test_no_such_bucket(s3):
    with pytest.raises(storage.StorageError, match="s3://nowhere/run: there is no such bucket"):
        storage.check_folder("s3://nowhere/run")


def test_nobody_listens(folder):
    with reaching(environment_of("http://127.0.0.1:1")), pytest.raises(storage.StorageError, match="does not answer"):
        storage.check_folder(folder)


@pytest.mark.parametrize(("url", "says"), [
    ("ftp://host/x", "unknown kind of store ftp://; expected s3://, gs://"),
    ("s3://key:hidden@bucket/x", "a url with a password in it is refused"),
    ("s3:///x", "names no bucket"),
])  # fmt: skip
def test_urls_that_nobody_serves(url, says):
    with pytest.raises(storage.StorageError) as caught:
        storage.check_folder(url)
    assert says in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(storage.StorageError, match=r"needs the package s3fs: pip install 'pairmill\[s3\]'"):
        storage.exists("s3://bucket/x")


# paths


def test_joining():
    assert storage.join("s3://b/run", "images", "x") == "s3://b/run/images/x"
    assert storage.join("s3://b/run", "/tables/x.csv") == "/tables/x.csv"
    assert storage.join("/run", "s3://b/x.csv") == "s3://b/x.csv"
    assert storage.absolute("s3://b/run/") == "s3://b/run"
    assert storage.absolute("run") == os.path.join(os.getcwd(), "run")
    assert storage.absolute("file:///run") == "/run"


def test_a_file_url_is_a_local_path(tmp_path):
    storage.publish(f"file://{tmp_path}/x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"
    assert storage.glob_files(f"file://{tmp_path}/*") == [str(tmp_path / "x")]


def test_another_store_of_fsspec():
    """One with folders, as HDFS has: the object is renamed into place."""
    storage.publish("memory://root/run/x", b"1")
    storage.publish("memory://root/run/x", b"2", keep_first=True)
    storage.publish("memory://root/run/below/y", b"3")
    assert storage.list_names("memory://root/run") == ["below", "x"]
    assert storage.read_bytes("memory://root/run/x") == b"1"
    assert storage.glob_files("memory://root/run/**/y") == ["memory://root/run/below/y"]
    storage.check_folder("memory://root/run")
    storage.sweep_temporary("memory://root/run")
    storage.delete_folder("memory://root/run")
    assert storage.list_names("memory://root/run") == []
