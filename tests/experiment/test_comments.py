"""`resolve` keeps the comments of a spec, each at the setting that it stands at."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from dotexp.experiment.comments import commented_text
from dotexp.experiment.json import as_json
from dotexp.experiment.text import as_text
from fuzz_inputs import experiment
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import COMMENTS, comments, respaced
from paths import REPOSITORY
from spec_runner import runner

from specs import IMAGES, RATINGS, checked, resolved


def lines(text: str, *overrides: str, folder: Path = Path()) -> list[str]:
    """Lines of the resolved text that have a comment, white space aside."""
    written = commented_text(resolved(text, *overrides, folder=folder))
    return [" ".join(line.split()) for line in written.splitlines() if "#" in line]


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_every_comment_is_kept_once_and_the_text_means_the_same(seed: int) -> None:
    random = Random(seed)
    text = respaced(experiment(random).data.decode("utf-8", "replace"), random, COMMENTS)
    found, _ = checked(text)
    if found is None:
        return
    written = commented_text(found)
    assert sorted(comments(written)) == sorted(comments(text))
    assert as_json(resolved(written).experiment) == as_json(found.experiment)
    assert commented_text(resolved(written)) == written


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("loss cross_entropy  # why", "loss losses.cross_entropy(label_smoothing = 0.0, weights = none) # why"),
        ("# why\nloss cross_entropy", "# why"),
        ("optimizer adam(wd = 0.1,  # strong\n eps = 1e-6)", "wd = 0.1, # strong"),
        ("optimizer adam(\n# strong\nwd = 0.1)", "# strong"),
        ("optimizer adam(  # why\nwd = 0.1)", "optimizer optimizers.adam( # why"),
        ("metrics accuracy,  # one\n f1", "losses.accuracy, # one"),
        ("report tta # look", "report vision.tta(copies = 4, beta = 0.25) # look"),
        ("seed 3 # luck", "seed 3 # luck"),
        ("runtime(threads = 2)  # cores", ") # cores"),
    ],
)
def test_a_comment_stands_at_its_setting(line: str, kept: str) -> None:
    keyword = line.removeprefix("# why\n").split("(")[0].split()[0]
    text = "\n".join(each for each in IMAGES.splitlines() if not each.startswith(keyword)) + f"\n{line}\n"
    assert lines(text) == [kept]


def test_comments_in_a_stage_stay_in_it() -> None:
    text = RATINGS.replace(
        "stage train { fit one_cycle(epochs = 1, lr = 5e-3) }",
        "stage train {  # only\n  # peak below\n  fit one_cycle(1,\n lr = 5e-3)  # rate\n  # end\n}  # after\n# last",
    )
    assert lines(text) == ["stage train { # only", "# peak below", ") # rate", "# end", "} # after", "# last"]


def test_a_comment_of_several_lines_behind_a_statement_stays_one() -> None:
    text = RATINGS + "seed 3  # luck\n        # and more\n"
    assert "seed 3  # luck\n        # and more\n" in commented_text(resolved(text))


def test_comments_of_a_param_go_where_its_value_goes() -> None:
    text = RATINGS.replace("lr = 5e-3", "lr = rate") + "param rate = 5e-3  # found by lr-find\n"
    assert lines(text) == ["lr = 0.005, # found by lr-find"]


def test_comments_of_stages_go_to_the_first_one() -> None:
    text = IMAGES[: IMAGES.index("stage head")] + "# tune\nstages fine_tune(2)  # twice\n"
    written = commented_text(resolved(text)).splitlines()
    place = written.index("stage fine_tune_head {")
    assert written[place - 1] == "# tune"
    assert written[written.index("stage fine_tune_all {") - 2] == "}  # twice"


def test_a_base_s_comments_stay_with_what_is_in_force(tmp_path: Path) -> None:
    base = IMAGES.replace("optimizer adam(wd = 0.01)", "optimizer adam(wd = 0.01)  # decay")
    base = base.replace("stage head {", "stage head {  # gone").replace("loss", "# gone, too\nloss")
    (tmp_path / "base.exp").write_text(base)
    text = 'extends "base.exp"  # the base\nloss cross_entropy(label_smoothing = 0.1)  # smooth\n'
    text += "stage head { fit flat(1, lr = 1e-3) }  # flat\n"
    smooth = "loss losses.cross_entropy(label_smoothing = 0.1, weights = none) # smooth"
    assert lines(text, folder=tmp_path) == ["# the base", smooth, ") # decay", "} # flat"]


@pytest.mark.parametrize("spec", sorted((REPOSITORY / "specs").glob("*.exp")), ids=lambda path: path.stem)
def test_the_bundled_specs_keep_their_comments(spec: Path, tmp_path: Path) -> None:
    done = runner("resolve", str(spec), folder=tmp_path)
    assert sorted(comments(done.stdout)) == sorted(comments(spec.read_text()))
    (tmp_path / "again.exp").write_text(done.stdout)
    assert runner("diff", str(spec), "again.exp", folder=tmp_path).returncode == 0


def test_a_text_without_comments_is_the_plain_one() -> None:
    for text in (IMAGES, RATINGS):
        assert commented_text(resolved(text)) == as_text(resolved(text).experiment)
