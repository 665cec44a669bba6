"""Tables of text and Parquet: fields, places of rows, quotes, blocks, bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from dotexp import ComponentError, Problem
from dotexp.sdk.tables import Table, TextFormat, WholeTable, files, find_column, open_table, read_table, text

NO_HEADER = TextFormat(header=False)


def written(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path: Path, form: TextFormat = NO_HEADER) -> list[tuple[int, ...]]:
    """Every row: its place, then its fields."""
    table = open_table(path, "path", form)
    blocks = list(table.blocks(range(table.width)))
    frame = pl.concat([block.frame.with_columns(block.lines.alias("line")) for block in blocks])
    return frame.select("line", *map(str, range(table.width))).rows()


def refusal(path: Path, form: TextFormat = NO_HEADER) -> Problem:
    with pytest.raises(ComponentError) as caught:
        rows(path, form)
    return caught.value.problem


# quotes


QUOTED = [
    ('1,3.5" drive,4\n2,"two\nlines",3\n3,c,5\n', [(1, "1", '3.5" drive', "4"), (2, "2", "two\nlines", "3")]),
    ('1,"a",4\n2,5\' 10",3\n3,"x,\n\ny",5\n', [(2, "2", "5' 10\"", "3"), (3, "3", "x,\n\ny", "5")]),
    ('1,a "b" c,4\n2,"d\n""e""\nf",3\n', [(1, "1", 'a "b" c', "4"), (2, "2", 'd\n"e"\nf', "3")]),
    ('1,b",4\n2,c",3\n3,"d\ne",1\n4,f,2\n', [(1, "1", 'b"', "4"), (3, "3", "d\ne", "1"), (5, "4", "f", "2")]),
    ('1,a\t"b,4\n2,"c\nd",3\n', [(1, "1", 'a\t"b', "4"), (2, "2", "c\nd", "3")]),
]


@pytest.mark.parametrize(("content", "expected"), QUOTED)
@pytest.mark.parametrize("size", [1, 5, 1 << 19])
def test_a_quote_inside_a_field_is_a_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: list[tuple[object, ...]], size: int
) -> None:
    monkeypatch.setattr(files, "BLOCK", size)
    found = rows(written(tmp_path, content))
    assert [row for row in expected if row not in found] == []
    assert len(found) == len(content.rstrip().split("\n")) - sum(str(row[2]).count("\n") for row in found)


def test_a_quote_that_nothing_closes_is_told_where_it_opens(tmp_path: Path) -> None:
    problem = refusal(written(tmp_path, '1,3" disc,4\n2,"open,3\n' + "3,c,5\n" * 9))
    assert "line 2: quotes that do not enclose a whole field" in problem.message
    assert problem.help == "quotes = false takes a quote as a character like another"


def test_every_line_is_read_once_however_quotes_fall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK", 100)
    taken = 0
    take = text._Lines.__next__

    def counted(lines: text._Lines) -> str:
        nonlocal taken
        taken += 1
        return take(lines)

    monkeypatch.setattr(text._Lines, "__next__", counted)
    content = "".join(f'{n},3.5" drive,4\n{n},"a\nb",3\n' for n in range(2000))
    assert len(rows(written(tmp_path, content))) == 4000
    assert taken <= 6000 + 600, "the sample of 200 rows is read twice, the others once"


# places, blocks, digests


@pytest.mark.parametrize("size", [1, 3, 64, 1 << 19])
def test_blocks_of_any_size_hold_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    content = '\n\n a ,b\r\n"c\n",d\n,\n\ne,"f ""g"""\n,\né,i\n'
    expected = [(3, "a", "b"), (4, "c", "d"), (8, "e", 'f "g"'), (10, "é", "i")]
    monkeypatch.setattr(files, "BLOCK", size)
    assert rows(written(tmp_path, content)) == expected
    assert rows(written(tmp_path, gzip.compress(content.encode()), "t.csv.gz")) == expected


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_the_bytes_are_digested_as_they_are_read(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"a": ["x", "y"], "b": ["1", "2"]})
    path = tmp_path / name
    if name == "t.csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    digest = sha256()
    table = open_table(path, "path", TextFormat(), digest)
    assert [block.frame.rows() for block in table.blocks([1, 0])] == [
        [("1", "x", None, False), ("2", "y", None, False)]
    ]
    assert digest.hexdigest() == sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_row_that_ends_early_is_told_from_one_with_an_empty_end(tmp_path: Path, quote: str) -> None:
    text = f"a,b,c\n{quote}1{quote},2,3\n4,5,\n6,7\n\n8\n"
    (block,) = open_table(written(tmp_path, text), "path", TextFormat()).blocks([0, 2])
    assert block.frame["short"].to_list() == [False, False, True, True]
    assert block.lines.to_list() == [2, 3, 4, 6]


def test_fields_beyond_the_width_are_handed_on(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, "a,b\n1,2,3,4\n5,6,\n"), "path", TextFormat())
    (block,) = table.blocks([1])
    assert block.frame.rows() == [("2", "3", False), ("6", None, False)] and block.lines.to_list() == [2, 3]


# what is no table of text


def zipped(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            archive.writestr(name, "1,2,3\n")
    return held.getvalue()


TEXT = "user,item,rating\n" + "1,2,3\n" * 300
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "said", "cure"),
    [
        (zipped("ratings.csv"), "a zip archive", "unpack it"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook", "CSV"),
        (bz2.compress(TEXT.encode()), "bzip2", "bunzip2"),
        (lzma.compress(TEXT.encode()), "xz", "unxz"),
        (LFS, "a Git LFS pointer", "git lfs pull"),
        (b"/annex/objects/SHA256E-s12--ab.csv\n", "a git-annex pointer", "git annex get"),
        (b"\n<!DOCTYPE html>\n<html><body>Sign in, please</body></html>\n", "a web page", "fetch the file itself"),
        (b'[{"user": 1, "item": 2, "rating": 3}]', "JSON", "CSV or Parquet"),
        (b'{"user": 1, "item": 2}\n{"user": 1, "item": 3}\n', "JSON", "CSV or Parquet"),
        (b"\x80\x04\x95\x10\0\0\0", "a pickle", "CSV or Parquet"),
        (b"ARROW1\0\0" + b"\xff" * 20, "an Arrow file", "CSV or Parquet"),
        (b"SQLite format 3\0" + b"\0" * 40, "an SQLite database", "CSV or Parquet"),
        (TEXT.encode("utf-16"), "UTF-16 text, not utf-8", 'encoding = "utf-16"'),
        (TEXT.encode("utf-16-le"), "UTF-16 text, not utf-8", 'encoding = "utf-16-le"'),
        (TEXT.encode("utf-16-be"), "UTF-16 text, not utf-8", 'encoding = "utf-16-be"'),
        (gzip.compress(zipped("a.csv")), "a zip archive", "unpack it"),
        (gzip.compress(LFS), "a Git LFS pointer", "git lfs pull"),
    ],
)
def test_what_is_no_text_is_told_by_its_first_bytes(tmp_path: Path, content: bytes, said: str, cure: str) -> None:
    problem = refusal(written(tmp_path, content))
    assert problem.code == "E402" and said in problem.message and cure in problem.help


@pytest.mark.parametrize(
    "content", ["BZhang,2,3\n", "P1 a,2,3\n", "RDX2,1,2\n", "8BPS,1,2\n", "[a],2,3\n", "GIF89a,a,1\n"]
)
def test_ids_that_begin_as_another_format_are_text(tmp_path: Path, content: str) -> None:
    assert rows(written(tmp_path, content)) == [(1, *content.strip().split(","))]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "mac-roman", "shift_jis"])
def test_the_encoding_that_is_named_reads_the_file(tmp_path: Path, encoding: str) -> None:
    name = "ア" if encoding == "shift_jis" else "é"
    path = written(tmp_path, f"{name},2\n3,4\n".encode(encoding))
    assert rows(path, TextFormat(header=False, encoding=encoding)) == [(1, name, "2"), (2, "3", "4")]


def test_the_likely_encoding_is_named_first(tmp_path: Path) -> None:
    problem = refusal(written(tmp_path, TEXT.encode() + b"\x93Alien\x94,2,3\n"))
    assert "line 302: not utf-8 text" in problem.message
    assert problem.help.startswith('encoding = "cp1252" is the likely one')
    problem = refusal(written(tmp_path, "Amélie,2,3\n".encode("latin-1") + b"\x81\x8d\n"))
    assert problem.help.startswith("nor is it cp1252") and '"latin-1" takes every byte' in problem.help
    form = TextFormat(encoding="ascii", encoding_field="items_encoding")
    assert "items_encoding = " in refusal(written(tmp_path, "é,1\n"), form).help
    whole = "1,é".encode()
    assert "is it whole?" in refusal(written(tmp_path, whole[:-1])).message


@pytest.mark.parametrize("ending", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("size", [16, 1 << 19])
def test_lines_may_end_in_any_of_three_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, size: int
) -> None:
    monkeypatch.setattr(files, "BLOCK", size)
    path = written(tmp_path, ending.join(["1,a,2", "3,b,4", "", "5,c,6"]))
    assert rows(path) == [(1, "1", "a", "2"), (2, "3", "b", "4"), (4, "5", "c", "6")]


def test_the_separator_that_a_first_line_names(tmp_path: Path) -> None:
    path = written(tmp_path, "sep=;\r\na;b\r\n1;2\r\n")
    assert rows(path, TextFormat(";")) == [(3, "1", "2")]
    problem = refusal(path)
    assert "line 1: `sep=;`" in problem.message and problem.help == 'separator = ";"'
    assert refusal(written(tmp_path, "sep=\t\na\tb\n")).help == 'separator = "\\t"'
    assert rows(written(tmp_path, "sep=\ufeff,x\nsep=,y\n"), NO_HEADER)[1][1:] == ("sep=", "y")


@pytest.mark.parametrize(
    ("content", "separator", "hint"),
    [
        ("1;2;3,5\n4;5;2,5\n", ",", '";"'),
        ("1;2;3\n4;5;6\n", ",", '";"'),
        ("a, b;2;3\nc, d;5;6\n", ",", '";"'),
        ("1\t2\t3\n", ",", '"\\t"'),
        ("1,2,3\n", "\t", '","'),
        ("1 2 3\n", ",", '" "'),
        ("1::2::3\n", ",", '"::"'),
        ("a;b,2\nc,3\n", ",", None),
        ("1,2,3\n", ",", None),
    ],
)
def test_the_shape_tells_of_another_separator(tmp_path: Path, content: str, separator: str, hint: str | None) -> None:
    table = open_table(written(tmp_path, content), "path", TextFormat(separator, header=False))
    assert table.hint == (f"is the separator another one? separator = {hint}" if hint else "")


# columns


def test_columns_by_name_and_by_number(tmp_path: Path) -> None:
    table: Table = open_table(written(tmp_path, "a,b,b\n1,2,3\n"), "path", TextFormat())
    assert table.header == ("a", "b", "b")
    assert (find_column(table, "a", "user"), find_column(table, 2, "user")) == (0, 2)
    for wanted, said in (("b", "has 2 columns called `b`"), ("c", "no column called `c`"), (3, "no column 3")):
        with pytest.raises(ComponentError, match=said) as caught:
            find_column(table, wanted, "user")
        assert (caught.value.problem.field, caught.value.problem.help) == ("user", "its columns are a, b, b")
    second = open_table(table.path, "valid", TextFormat(), second=True)
    with pytest.raises(ComponentError) as caught:
        find_column(second, "c", "user")
    assert caught.value.problem.field == "valid"


def test_the_first_rows_decide_about_the_header(tmp_path: Path) -> None:
    seen: list[list[list[str]]] = []

    def rule(sample: object) -> bool:
        seen.append(sample)  # type: ignore[arg-type]
        return len(seen) == 1

    path = written(tmp_path, '\n a ,"b"\n\n1,2\n')
    tables = [open_table(path, "path", TextFormat(header=rule)) for _ in range(2)]
    assert [table.header for table in tables] == [("a", "b"), None]
    assert seen == [[["a", "b"], ["1", "2"]]] * 2


# whole tables


def test_a_whole_table_has_columns_and_places(tmp_path: Path) -> None:
    path = written(tmp_path, "name,kind\n\nann, x \nbob,\n")
    table = read_table(path, "table", TextFormat())
    assert (len(table), table.has("kind"), table.has("other")) == (2, True, False)
    assert (list(table.column("kind", "label")), list(table.column(0, "image"))) == (["x", ""], ["ann", "bob"])
    assert [table.place(row) for row in range(2)] == ["line 3", "line 4"]
    table.refuse([])
    with pytest.raises(ComponentError) as caught:
        table.refuse([(1, "no label"), (1, "no file")], "look again")
    message = f"1 of 2 rows of {path} cannot be used\n  line 4: no label, no file"
    assert caught.value.problem == Problem(message, "table", "look again", "E402")


def test_of_a_parquet_file_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"name": [1, None], "image": [b"\0", b"\1"]}).write_parquet(path)
    table: WholeTable = read_table(path, "table", TextFormat())
    assert list(table.column("name", "image")) == ["1", ""] and table.place(1) == "row 2"
    with pytest.raises(ComponentError, match="holds Binary"):
        table.column("image", "image")


def test_a_row_with_too_many_fields_is_no_row_of_a_whole_table(tmp_path: Path) -> None:
    path = written(tmp_path, "name,kind\nann,x\nbob,y,z\n")
    with pytest.raises(ComponentError, match="line 3: more than 2 fields"):
        read_table(path, "table", TextFormat())


def test_what_only_has_the_name_of_parquet(tmp_path: Path) -> None:
    assert "is not a Parquet file" in refusal(written(tmp_path, "a,b\n", "t.parquet")).message
