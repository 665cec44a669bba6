"""What `plan` prints beside numbers: what the data's builder guessed."""

from __future__ import annotations

from dataclasses import replace

import dotexp as api
import pytest
from dotexp.cli.plan_view import show_plan
from dotexp.engine.estimate import Estimate

from specs import RATINGS, resolved

GUESSES = {
    "user": '"userID" (column 1, by its header)',
    "header": "true ([the first row] holds no number)",
    "separator": r'"\t"',
}


def test_every_guess_stands_under_the_data_as_the_spec_would_write_it(capsys: pytest.CaptureFixture[str]) -> None:
    plan = api.plan(resolved(RATINGS))
    assert "guesses" not in plan.as_json()["data"]
    guessed = replace(plan, facts=replace(plan.facts, guesses=GUESSES))
    assert guessed.as_json()["data"]["guesses"] == GUESSES
    show_plan(guessed, [Estimate(None, None) for _ in plan.stages])
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("data"))
    assert lines[place + 1 : place + 4] == [f"  guessed: {name} = {said}" for name, said in GUESSES.items()]


def test_one_of_something_is_said_in_the_singular(capsys: pytest.CaptureFixture[str]) -> None:
    text = RATINGS.replace("latent_ratings", "latent_ratings(users = 20, items = 20, density = 20%, batch_size = 40)")
    plan = api.plan(resolved(text))
    facts = replace(plan.facts, entities={"users": 1, "items": 2}, summary={"rows": 1, "categories": 1})
    show_plan(replace(plan, facts=facts), [Estimate(None, None) for _ in plan.stages])
    out = capsys.readouterr().out
    assert "1 epoch of 1 step, 1 in all" in out and "1 user, 2 items" in out and "1 row; 1 category" in out
    many = resolved(text.replace("epochs = 1", "epochs = 2"))
    show_plan(api.plan(many), [Estimate(None, None)])
    assert "2 epochs of 1 step, 2 in all" in capsys.readouterr().out
