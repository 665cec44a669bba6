"""MovieLens found in a folder or fetched: what is checked, what is refused, and what the parts hold."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dotexp import ComponentError, DataContext, Problem
from dotexp_collab.data import download as downloads
from dotexp_collab.data import movielens
from dotexp_collab.data.dataset import RatingsData
from dotexp_collab.data.download import Archive, FetchError, fetch, unpack
from dotexp_collab.data.movielens import RELEASES, Release, build
from dotexp_collab.data.params import MOVIELENS, MovieLensParams
from pydantic import ValidationError

from specs import checked

U_DATA = "".join(f"{k % 9 + 1}\t{k % 7 + 1}\t{k % 5 + 1}\t{k}\n" for k in range(60))
U_ITEM = "".join(
    f"{k}|Film {k}é (199{k})|01-Jan-199{k}||x|{'|'.join('1' if g == k else '0' for g in range(19))}\n"
    for k in range(1, 8)
)
U_USER = "".join(f"{k}|{20 + k}|{'FM'[k % 2]}|writer|12345\n" for k in range(1, 10))
FILES = {"u.data": U_DATA, "u.item": U_ITEM, "u.user": U_USER, "README": "terms"}


def load(path: Path | None = None, release: str = "100k", **given: Any) -> RatingsData:
    return build(MovieLensParams(release=release, path=path, **given), DataContext(42))


def refused(path: Path, **given: Any) -> Problem:
    with pytest.raises(ComponentError) as caught:
        load(path, **given)
    return caught.value.problem


def laid(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **files}.items():
        (folder / name).write_bytes(text.encode("latin-1"))
    return folder


def packed(path: Path, folder: str = "ml-100k") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in FILES.items():
            archive.writestr(f"{folder}/{name}", text.encode("latin-1"))
    return path


def published(file: Path, url: str = "http://127.0.0.1:9/ml-100k.zip", **changed: Any) -> Archive:
    content = file.read_bytes()
    archive = Archive(url, len(content), hashlib.sha256(content).hexdigest(), "ml-100k", 1 << 20)
    return archive._replace(**changed)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server with a folder of files: its address and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = folder / Path(self.path).name
            self.send_response(200 if file.is_file() else 404)
            self.end_headers()
            self.wfile.write(file.read_bytes() if file.is_file() else b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=partial(web.serve_forever, poll_interval=0.01))
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}", folder
    web.shutdown()
    thread.join()
    web.server_close()


# found


def test_a_folder_that_is_there_is_read_with_titles_and_features(tmp_path: Path) -> None:
    data = load(laid(tmp_path / "ml-100k"), valid=10)
    facts = data.facts
    assert (facts.train, facts.valid, facts.entities["users"], facts.entities["items"]) == (50, 10, 9, 7)
    assert facts.vocabulary["titles"] == {str(k): f"Film {k}é (199{k})" for k in range(1, 8)}
    numbers, years = [str(k) for k in range(6, 13)], [f"2:{k}" for k in range(7)]
    assert facts.vocabulary["item_features"]["names"] == [*numbers, *years]
    assert len(facts.vocabulary["item_features"]["lists"]) == 7 and len(facts.vocabulary["user_features"]["lists"]) == 9
    assert {"2=F", "2=M", "3=writer"} <= set(facts.vocabulary["user_features"]["names"])
    assert sum(facts.vocabulary["item_counts"]) == 50


@pytest.mark.parametrize("place", ["ml-100k", "."])
def test_the_folder_itself_or_the_one_around_it(tmp_path: Path, place: str) -> None:
    laid(tmp_path / "ml-100k")
    assert load(tmp_path / place).facts.summary["rows"] == 60


def test_another_number_of_ratings_than_published_is_told(tmp_path: Path) -> None:
    (note,) = load(laid(tmp_path)).facts.notes
    assert "has 60 rows, and 100,000 were published" in note


def test_a_damaged_row_is_told_with_its_line(tmp_path: Path) -> None:
    problem = refused(laid(tmp_path, **{"u.data": U_DATA + "1\t99\t3\t0\n2\t1\tx\t0\n3\t2\n"}))
    assert problem.code == "E402"
    assert [line.strip() for line in problem.message.split("\n")[1:]] == [
        "line 62: rating `x` is not a number",
        "line 63: no rating",
    ]


@pytest.mark.parametrize(
    ("release", "files"),
    [
        (
            "1m",
            {
                "ratings.dat": "1::10::5::3\n2::11::1::4\n1::11::2::5\n",
                "movies.dat": "10::A (1999)::Drama|War\n11::B (1998)::War\n",
                "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
            },
        ),
        (
            "25m",
            {
                "ratings.csv": "userId,movieId,rating,timestamp\n1,10,5.0,3\n2,11,1.0,4\n1,11,2.0,5\n",
                "movies.csv": 'movieId,title,genres\n10,"A, The (1999)",Drama|War\n11,B (1998),War\n',
            },
        ),
    ],
)
def test_the_other_forms(tmp_path: Path, release: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    facts = load(tmp_path, release, valid=1).facts
    assert (facts.train, facts.valid, facts.summary["rows"]) == (2, 1, 3)
    features = load(tmp_path, release, valid=1, split_seed=3).facts.vocabulary["item_features"]
    assert any(name.endswith("War") for name in features["names"])
    assert all(title.endswith(")") for title in facts.vocabulary["titles"].values())


# not found


def test_what_to_put_where_is_said_where_nothing_is_downloaded(tmp_path: Path) -> None:
    problem = refused(tmp_path, download=False)
    assert (problem.code, problem.field) == ("E401", "path")
    assert "ml-100k.zip" in problem.help and str(tmp_path / "ml-100k") in problem.help
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_way_by_hand_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: object, **more: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", none)
    problem = refused(tmp_path / "data")
    assert (problem.code, problem.field) == ("E401", "path")
    assert "cannot be fetched" in problem.message and "ml-100k.zip" in problem.help
    assert list((tmp_path / "data").iterdir()) == []


def test_a_folder_without_the_ratings_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "mine.txt").write_text("mine")
    problem = refused(tmp_path)
    assert problem.code == "E401" and "lacks u.data" in problem.message
    assert (tmp_path / "ml-100k" / "mine.txt").read_text() == "mine"


def test_without_a_path_it_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    laid(tmp_path / "dotexp" / "ml-100k")
    assert load().facts.summary["rows"] == 60
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert movielens.cache_folder() == Path.home() / ".cache" / "dotexp"


# fetched


def test_an_archive_is_fetched_checked_and_unpacked(tmp_path: Path, server: tuple[str, Path]) -> None:
    address, folder = server
    archive = published(packed(folder / "ml-100k.zip"), f"{address}/ml-100k.zip")
    target = fetch(archive, tmp_path / "into")
    assert target == tmp_path / "into" / "ml-100k" and (target / "u.data").read_text() == U_DATA
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["ml-100k"], "nothing else is left"


def test_the_component_fetches_what_is_not_there(
    tmp_path: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    archive = published(packed(folder / "ml-100k.zip"), f"{address}/ml-100k.zip")
    release: Release = RELEASES["100k"]._replace(archive=archive, rows=60)
    monkeypatch.setattr(movielens, "RELEASES", {"100k": release})
    facts = load(tmp_path / "data").facts
    assert (facts.summary["rows"], facts.notes) == (60, ())
    (folder / "ml-100k.zip").unlink()
    assert load(tmp_path / "data").facts == facts, "the second time it is there"


def test_an_archive_that_lies_in_the_folder_is_taken(tmp_path: Path) -> None:
    archive = published(packed(tmp_path / "ml-100k.zip"))
    assert (fetch(archive, tmp_path) / "u.item").is_file()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sha256": "0" * 64}, "not what was published"),
        ({"size": 100}, "longer than"),
    ],
)
def test_an_archive_that_is_not_the_published_one_is_refused(
    tmp_path: Path, server: tuple[str, Path], changed: dict[str, Any], says: str
) -> None:
    address, folder = server
    archive = published(packed(folder / "ml-100k.zip"), f"{address}/ml-100k.zip", **changed)
    with pytest.raises(FetchError, match=says):
        fetch(archive, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_missing_page_is_said(tmp_path: Path, server: tuple[str, Path]) -> None:
    address, folder = server
    archive = published(packed(folder / "other.zip"), f"{address}/ml-100k.zip")
    with pytest.raises(FetchError, match="cannot be fetched"):
        fetch(archive, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_an_archive_without_the_folder(tmp_path: Path) -> None:
    archive = published(packed(tmp_path / "ml-100k.zip", folder="elsewhere"))
    with pytest.raises(FetchError, match="does not hold the folder ml-100k"):
        fetch(archive, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ml-100k.zip"]


@pytest.mark.parametrize(
    "name", ["../out.txt", "/out.txt", "a/../../out.txt", "..\\out.txt", "C:/out.txt", "a/../../../b/out"]
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("fine.txt", "x")
        archive.writestr(name, "x")
    with pytest.raises(FetchError, match="no file inside it"):
        unpack(tmp_path / "a.zip", tmp_path / "into", 1000)
    assert not (tmp_path / "into").exists() and [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(FetchError, match="no file inside it"):
        unpack(tmp_path / "a.zip", tmp_path / "into", 1000)


def test_bombs_in_an_archive_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 5_000_000)
    with pytest.raises(FetchError, match="holds more than 1,000,000 bytes"):
        unpack(tmp_path / "a.zip", tmp_path / "into", 1_000_000)
    assert not (tmp_path / "into").exists()


def test_an_entry_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 5_000_000)
    content = path.read_bytes()
    told = (5_000_000).to_bytes(4, "little")
    assert content.count(told) == 2
    path.write_bytes(content.replace(told, (1000).to_bytes(4, "little")))
    with pytest.raises(FetchError):
        unpack(path, tmp_path / "into", 100_000)
    assert sum(file.stat().st_size for file in (tmp_path / "into").rglob("*")) <= 100_000


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"not a zip at all"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(FetchError, match="cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "into", 1000)


def test_a_torn_archive(tmp_path: Path) -> None:
    whole = packed(tmp_path / "ml-100k.zip").read_bytes()
    for cut in range(10, len(whole), 97):
        (tmp_path / "torn.zip").write_bytes(whole[:cut])
        with pytest.raises(FetchError):
            unpack(tmp_path / "torn.zip", tmp_path / f"into-{cut}", 1 << 20)


def test_a_disk_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = published(packed(tmp_path / "ml-100k.zip"))

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "unpack", full)
    with pytest.raises(FetchError, match="No space left"):
        fetch(archive, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["ml-100k.zip"]


# in a spec, and real


def test_releases_are_named_in_a_spec() -> None:
    def spec(given: str) -> str:
        rest = "model embedding_dot_bias\nloss mse\nstage s { fit one_cycle(epochs = 1, lr = 1e-3) }\n"
        return f"experiment a\ndata movielens({given})\n{rest}"

    for name in MOVIELENS:
        assert checked(spec(f'"{name}", path = "data"'))[1] == ()
    assert set(RELEASES) == set(MOVIELENS)
    for given in ('"10k"', "latest", "", '"100k", valid = "u1.test"'):
        assert [d.code[0] for d in checked(spec(given))[1]] == ["E"], given
    with pytest.raises(ValidationError, match="latest-small"):
        MovieLensParams(release="tiny")


def test_the_archives_are_described_as_published() -> None:
    for release in RELEASES.values():
        assert release.archive.url.startswith("https://files.grouplens.org/datasets/movielens/ml-")
        assert len(release.archive.sha256) == 64 and release.archive.folder == release.archive.name.removesuffix(".zip")
        assert release.archive.unpacked > 4 * release.archive.size


def test_movielens_100k_with_its_titles(real_data: Path) -> None:
    facts = load(real_data, valid=0.1).facts
    assert (facts.train, facts.valid, facts.entities["users"], facts.range) == (90_000, 10_000, 943, (1, 5))
    assert facts.summary == {"rows": 100_000, "duplicates": 0}
    assert all("were published" not in note for note in facts.notes)
    titles, counts = facts.vocabulary["titles"], facts.vocabulary["item_counts"]
    assert titles["50"] == "Star Wars (1977)" and titles["258"] == "Contact (1997)"
    assert any("é" in title for title in titles.values())
    named = dict(zip(facts.vocabulary["items"], counts, strict=True))
    assert max(named, key=named.__getitem__) == "50" and sum(counts) == 90_000
    lines = (real_data / "ml-100k" / "u.item").read_bytes().decode("latin-1").splitlines()
    told = {line.split("|")[0]: line.split("|")[1].strip() for line in lines}
    assert all(titles[item] == told[item] for item in facts.vocabulary["items"] if item in titles)


def test_features_of_movielens_are_its_files(real_data: Path) -> None:
    facts = load(real_data, valid=1).facts
    films = facts.vocabulary["item_features"]
    lines = (real_data / "ml-100k" / "u.item").read_bytes().decode("latin-1").splitlines()
    genres = {line.split("|")[0]: {str(k) for k in range(5, 24) if line.split("|")[k] == "1"} for line in lines}
    for item, codes in zip(facts.vocabulary["items"], films["lists"], strict=True):
        names = {films["names"][code] for code in codes}
        assert {name for name in names if name.isdecimal()} == genres[item]
        assert sum(name.startswith("2:") for name in names) == (item != "267")  # it has no date
    people = facts.vocabulary["user_features"]
    users = pl.read_csv(
        real_data / "ml-100k" / "u.user", separator="|", has_header=False, new_columns=["u", "age", "sex", "job", "zip"]
    )
    for user, codes in zip(users.iter_rows(), people["lists"], strict=True):
        names = {people["names"][code] for code in codes}
        assert {f"2={user[2]}", f"3={user[3]}"} <= names and len(names) == 3


@pytest.mark.skipif(os.name == "nt", reason="modes of files are Unix's")
def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    problem = refused(tmp_path / "file" / "below")
    assert problem.code == "E401" and "cannot be fetched into" in problem.message
