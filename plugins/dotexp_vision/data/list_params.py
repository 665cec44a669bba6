"""Parameters of image data that something else than folders labels: a table, or a data set of torchvision's."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Self

from dotexp import (
    Affects,
    Component,
    DataSignature,
    Effect,
    OfKind,
    OncePerExperiment,
    Params,
    Positional,
    Use,
)
from dotexp.sdk.fields import ColumnName, Count, Encoding, Fraction, Header, Separator
from pydantic import AfterValidator, Field, model_validator

from dotexp_vision.data.dataset_names import DATASETS, Known
from dotexp_vision.data.params import IMAGES, ImageParams

HeldOut = Fraction | Count | Path | Annotated[Use, OfKind("image_split")]


class ColumnSplitParams(Params):
    """Hold out the rows of a table whose value in a column is 1, true, or the name of the set: valid, test."""

    column: Annotated[ColumnName, Positional()] = Field(description="the column: its number from 0, or its name")


def split_column(params: ColumnSplitParams) -> int | str:
    """Return the column that says which rows are held out."""
    return params.column


class ImageListParams(ImageParams):
    """Images with labels from a table, or from a pattern in the files' names.

    The table is a text file (.csv, .tsv, …) or .parquet, a row an image. In place of a table there may be a folder,
    whose files' names hold the class: `image_list("pets", label = r"(.+)_\\d+\\.jpg$")`. The task is classification;
    with `label_separator` every image has any number of labels; with `target` numbers are learned.
    """

    table: Annotated[Path, Positional()] = Field(description="the table of images, or a folder of them")
    path: Path | None = Field(
        None, description="the folder that the table's file names start from; none: the table's own"
    )
    image: ColumnName = Field(0, description="column of the file names: its number from 0, or its name")
    suffix: str = Field("", max_length=20, description='what follows every file name of the table, such as ".jpg"')
    label: Annotated[ColumnName | None, OncePerExperiment()] = Field(
        None,
        description="column of the classes: its number from 0, or its name; or a pattern that finds the class in the "
        'file\'s name: r"(.+)_\\d+\\.jpg$"; none: column 1',
    )
    label_separator: Annotated[str | None, OncePerExperiment()] = Field(
        None,
        min_length=1,
        max_length=10,
        description='what stands between several labels, such as " "; none: one label',
    )
    target: Annotated[ColumnName | tuple[ColumnName, ...] | None, OncePerExperiment()] = Field(
        None, description="column of the number to learn, or columns of several; none: classes are learned"
    )
    separator: Separator | None = Field(
        None,
        description='what stands between a table\'s fields, one character or "::"; none: a tab in .tsv, else a comma',
    )
    header: Header | bool = Field(
        Header.auto,
        description="whether the first row of a text file names the columns; auto: unless it holds a file, a number or "
        "a name as the other rows do",
    )
    encoding: Encoding = Field("utf-8", description="encoding of a text file")
    valid: Annotated[HeldOut, OncePerExperiment()] = Field(
        0.2,
        description="images to validate with: a fraction, a count, a table of the same form, a .txt file with a name "
        "a line, a folder, or column(…)",
    )
    test: Annotated[HeldOut | None, OncePerExperiment()] = Field(
        None, description="images that `evaluate` alone uses, as for `valid` and drawn before it; none: there are none"
    )

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        if self.target is not None and (self.label is not None or self.label_separator is not None):
            raise ValueError("target is what is learned, and so is label: give one of them")
        if isinstance(self.target, tuple) and not 0 < len(set(self.target)) == len(self.target):
            raise ValueError("target is one column, or several different ones")
        if self.stratify and self.task != "classification":
            raise ValueError("stratify draws from each class, and here an image has not one class")
        return self

    @property
    def task(self) -> str:
        """What is learned."""
        if self.target is not None:
            return "regression"
        return "classification" if self.label_separator is None else "multilabel"

    @property
    def targets(self) -> tuple[int | str, ...]:
        """Columns of the numbers to learn."""
        if self.target is None:
            return ()
        return self.target if isinstance(self.target, tuple) else (self.target,)


def _known_dataset(name: str) -> str:
    if name in DATASETS:
        return name
    by_case = {known.lower(): known for known in DATASETS}
    near = get_close_matches(name.lower(), by_case, n=1)
    guess = f"did you mean `{by_case[near[0]]}`? " if near else ""
    raise ValueError(f"no data set is called `{name}`: {guess}there are {', '.join(DATASETS)}")


DatasetName = Annotated[str, AfterValidator(_known_dataset)]
PartName = Annotated[str, Field(min_length=1, max_length=20)]


class TorchvisionDatasetParams(ImageParams):
    """One of torchvision's data sets for classification, by its name there: `torchvision_dataset("MNIST", "data")`.

    Those of CIFAR are pickles, which are opened only if their checksums are the published ones; FakeData is noise
    with random labels, 1,000 images of 32 pixels a side and 10 classes, and needs no files.
    """

    name: Annotated[DatasetName, Positional()] = Field(description="the data set's name: CIFAR10, MNIST, Food101, …")
    root: Annotated[Path | None, Positional()] = Field(
        None, description="the folder that the data set's files are in, or are downloaded into"
    )
    download: Annotated[bool, Affects(Effect.speed)] = Field(
        False, description="whether to download what is not there, as torchvision does"
    )
    valid: Annotated[Fraction | Count | PartName, OncePerExperiment()] = Field(
        0.2, description="images to validate with: a fraction or count of the training part, or a part's name: test"
    )
    test: Annotated[Fraction | Count | PartName | None, OncePerExperiment()] = Field(
        None, description="images that `evaluate` alone uses, as for `valid` and drawn before it; none: there are none"
    )

    @model_validator(mode="after")
    def _parts_exist(self) -> Self:
        if self.root is None and self.name != "FakeData":
            raise ValueError(f"root says in which folder the files of {self.name} are")
        first, *others = self.known.parts
        for part in (self.valid, self.test):
            if isinstance(part, str) and part not in others:
                there = f"beside `{first}` it has {', '.join(others)}" if others else "it has one part only"
                raise ValueError(f"{self.name} has no part `{part}` to hold out: {there}")
        return self

    @property
    def known(self) -> Known:
        """What is known of the data set."""
        return DATASETS[self.name]


def listed_facts(params: ImageListParams) -> DataSignature:
    """Images, and the task that the parameters say."""
    return DataSignature(params.task, "images")


_HOME = "dotexp_vision.data"
_FACTS = DataSignature("classification", "images")

COMPONENTS = (
    Component("data", "image_list", ImageListParams, f"{_HOME}.listed:build", listed_facts, inputs=IMAGES),
    Component(
        "data", "torchvision_dataset", TorchvisionDatasetParams, f"{_HOME}.torchvision:build", _FACTS, inputs=IMAGES
    ),
    Component("image_split", "column", ColumnSplitParams, f"{__name__}:split_column"),
)
