"""Batches of one example are refused where batch norm sees one value a channel, by what the model's facts say."""

from __future__ import annotations

import pytest

from specs import IMAGES, RATINGS, faults, only

ONE = IMAGES.replace("digits(classes = 0..4)", "digits(classes = 0..4, size = 64, batch_size = 1)")
SMALL = ONE.replace("size = 64", "size = 32").replace("head mlp", "head linear")
RATED = RATINGS.replace("latent_ratings", "latent_ratings(batch_size = 1)")


def test_it_is_told_once_where_the_batch_size_is_written() -> None:
    fault = only(ONE)
    assert (fault.code, fault.span and fault.span.text, fault.suggestion) == ("E305", "1", "2")
    assert fault.message == "`mlp` has batch norm that sees one value a channel, so it cannot train on batches of one"
    assert "accumulate" in fault.help


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (ONE, "mlp"),
        (ONE.replace("head mlp", "head mlp([512], first_bn = false)"), "mlp"),
        (ONE.replace("head mlp", "head mlp([], first_bn = false, bn_final = true)"), "mlp"),
        (ONE.replace("head mlp", "head mlp([512], lin_first = true)"), "mlp"),
        (SMALL, "resnet18"),
        (SMALL.replace("freeze body", "freeze stem"), "resnet18"),
        (SMALL.replace("resnet18", "densenet121").replace("size = 32", "size = 60"), "densenet121"),
        (SMALL.replace("resnet18(", 'torchvision_body("shufflenet_v2_x1_0", '), "torchvision_body"),
        (RATED.replace("embedding_dot_bias(factors = 4)", "embedding_nn([8])"), "embedding_nn"),
    ],
)
def test_what_has_such_batch_norm_is_named(text: str, name: str) -> None:
    fault = only(text)
    assert fault.code == "E305" and fault.message.startswith(f"`{name}` has batch norm")


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace("head mlp", "head linear"),
        ONE.replace("head mlp", "head mlp([], first_bn = false)"),
        ONE.replace("head mlp", "head mlp([512], first_bn = false, lin_first = true)"),
        SMALL.replace("size = 32", "size = 33"),
        SMALL.replace("resnet18", "densenet121").replace("size = 32", "size = 61"),
        SMALL.replace("resnet18", "squeezenet1_1"),
        SMALL.replace("resnet18(", 'torchvision_body("resnet18", cut = 6, '),
        RATED,
    ],
)
def test_batches_of_one_train_everything_else(text: str) -> None:
    assert faults(text) == []


def test_stages_count_by_what_they_train_and_by_their_own_data() -> None:
    frozen = SMALL.replace("fit one_cycle(epochs = 2", "freeze body fit one_cycle(epochs = 2")
    assert [code for code, _ in faults(frozen) if code == "E305"] == []
    kept = frozen.replace("freeze body", "freeze body except batchnorm", 1)
    assert [fault for fault in faults(kept) if fault[0] == "E305"] == [("E305", "1")]
    own = IMAGES.replace("stage everything {", "stage everything { data(batch_size = 1)")
    assert faults(own) == [("E305", "1")]
    given = IMAGES.replace("digits(classes = 0..4)", "digits(classes = 0..4, batch_size = few)") + "\nparam few = 1"
    assert [code for code, _ in faults(given)] == ["E305"]
    assert [code for code, _ in faults(IMAGES, "data.batch_size=1")] == ["E305"]
