"""Report sections on a collaborative-filtering model: biases, principal components of the factors, neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dotexp import ComponentError, Problem
from dotexp.sdk.report import Cell, Paragraph, Plot, Reporter, Section, Subject, Table
from torch import Tensor

from dotexp_collab.predict.catalogue import Catalogue, catalogue
from dotexp_collab.reports.analysis import (
    ITEM,
    USER,
    Components,
    Observed,
    by_value,
    cosines,
    ends,
    item_factors,
    learned,
    most_rated,
    observed,
    principal_components,
    rating_counts,
)
from dotexp_collab.reports.params import FactorsPcaParams, ItemBiasParams, NearestParams, UserBiasParams
from dotexp_collab.reports.plots import factor_map

_UNNAMED = 3


def item_bias(params: ItemBiasParams) -> Reporter:
    """Report the best and worst items by learned bias."""

    def report(subject: Subject) -> Sequence[Section]:
        bias = learned(subject, ITEM, "bias")[:, 0]
        seen = observed(subject, ITEM)
        listing = _Listing(catalogue(subject.facts), rating_counts(subject))
        chosen = most_rated(listing.counts, params.items, params.least_ratings)
        said = (
            "An item's bias is what the model adds to its score whoever rates it, before any sigmoid: how good it is "
            f"beyond the tastes that its factors meet. {_among(chosen, len(bias) - 1, params.least_ratings)}"
        )
        best, worst = ends(by_value(chosen, bias), params.top)
        header = (*listing.header("bias"), _over("mean rating", seen))
        tables = [
            Table(title, header, tuple(listing.row(code, bias, _mean(seen, code)) for code in codes.tolist()))
            for title, codes in (("Best items", best), ("Worst items", worst))
        ]
        return [Section("Item biases", (Paragraph(said), *tables))]

    return report


def user_bias(params: UserBiasParams) -> Reporter:
    """Report the most generous and the most severe users by learned bias."""

    def report(subject: Subject) -> Sequence[Section]:
        bias = learned(subject, USER, "bias")[:, 0]
        seen = observed(subject, USER)
        ids = subject.facts.vocabulary["users"]
        chosen = most_rated(seen.counts, None, params.least_ratings)
        said = "A user's bias is what the model adds to every score by the user, before any sigmoid, whatever the item."
        header = ("user", "bias", _over("ratings", seen), _over("mean rating", seen))
        tables = [
            Table(
                title,
                header,
                tuple((ids[i - 1], float(bias[i]), int(seen.counts[i]), _mean(seen, i)) for i in codes.tolist()),
            )
            for title, codes in zip(
                ("Most generous users", "Most severe users"), ends(by_value(chosen, bias), params.top), strict=True
            )
        ]
        return [Section("User biases", (Paragraph(said), *tables))]

    return report


def factors_pca(params: FactorsPcaParams) -> Reporter:
    """Report the principal components of the most rated items' factors."""

    def report(subject: Subject) -> Sequence[Section]:
        factors = item_factors(subject)
        listing = _Listing(catalogue(subject.facts), rating_counts(subject))
        chosen = most_rated(listing.counts, params.items)
        title = "Principal components of the items' factors"
        if len(chosen) < 2 or bool((factors[chosen] == factors[chosen[0]]).all()):
            return [Section(title, (Paragraph("There are no two items whose factors differ, so no components."),))]
        found = principal_components(factors[chosen], params.components)
        tables = [
            table
            for number in range(found.scores.shape[1])
            for table in _component(number, found, chosen, listing, params.top)
        ]
        said = _said_of_components(found, factors.shape[1], params.components, _among(chosen, len(factors) - 1))
        return [Section(title, (Paragraph(said), _variances(found), *_map(found, chosen, listing, params), *tables))]

    return report


def nearest(params: NearestParams) -> Reporter:
    """Report each item's nearest neighbours by the cosine of their factors."""

    def report(subject: Subject) -> Sequence[Section]:
        factors = item_factors(subject)
        listing = _Listing(catalogue(subject.facts), rating_counts(subject))
        asked = _codes(params, listing)
        others = most_rated(listing.counts, params.items)
        tables = [_neighbours(code, factors, others, listing, params.top) for code in asked]
        said = (
            "Neighbours are the items whose factors point most nearly the same way: 1 is the same direction, 0 none in "
            f"common, and how good an item is does not count. {_among(others, len(factors) - 1)}"
        )
        return [Section("Nearest items", (Paragraph(said), *tables))]

    return report


@dataclass(frozen=True)
class _Listing:
    """How items are listed: by name, with the id where that is another thing, and with the number of ratings."""

    items: Catalogue
    counts: Tensor

    def header(self, value: str) -> tuple[str, ...]:
        return (*(("title", "id") if self.items.titles else ("item",)), value, "ratings")

    def row(self, code: int, values: Tensor, *more: Cell) -> tuple[Cell, ...]:
        id = (self.items.ids[code - 1],) if self.items.titles else ()
        return (self.items.name(code), *id, float(values[code]), int(self.counts[code]), *more)


def _among(chosen: Tensor, total: int, least: int = 0) -> str:
    limit = f" with {least} ratings or more" if least > 1 else ""
    if len(chosen) == total:
        return f"Among all {total:,} items."
    return f"Among the {len(chosen):,} most rated of {total:,} items{limit}."


def _over(name: str, seen: Observed) -> str:
    return f"{name} ({seen.where})" if seen.where else name


def _mean(seen: Observed, code: int) -> Cell:
    return float(seen.means[code]) if seen.counts[code] else None


def _codes(params: NearestParams, listing: _Listing) -> list[int]:
    """Codes of the items asked for. Raises ComponentError (E208) for one that is not known."""
    codes: list[int] = []
    for wanted in params.named:
        found = listing.items.find(wanted)
        if isinstance(found, Problem):
            raise ComponentError(*found)
        codes.append(found)
    return codes or most_rated(listing.counts, _UNNAMED).tolist()


def _neighbours(code: int, factors: Tensor, others: Tensor, listing: _Listing, top: int) -> Table:
    cosine = cosines(factors, code)
    near = by_value(others[others != code], cosine)[:top]
    rows = tuple(listing.row(other, cosine) for other in near.tolist())
    return Table(f"Nearest to {listing.items.name(code)}", listing.header("cosine"), rows)


def _said_of_components(found: Components, width: int, asked: int, among: str) -> str:
    few = found.scores.shape[1]
    short = f" No more than {few} can be found." if few < asked else ""
    return (
        f"The {width} factors of an item, centred and turned so that the first component varies most, the second most "
        "of what is left, and so on. What the items at an end have in common is for the reader to say; which of the "
        f"ends is the high one means nothing.{short} {among}"
    )


def _variances(found: Components) -> Table:
    cumulative = found.shares.cumsum(0)
    columns = zip(found.variances.tolist(), found.shares.tolist(), cumulative.tolist(), strict=True)
    rows = tuple((number, *numbers) for number, numbers in enumerate(columns, start=1))
    return Table("Variance explained", ("component", "variance", "share", "cumulative share"), rows)


def _component(number: int, found: Components, chosen: Tensor, listing: _Listing, top: int) -> Iterable[Table]:
    scores = chosen.new_zeros(len(listing.counts), dtype=found.scores.dtype)
    scores[chosen] = found.scores[:, number]
    for name, codes in zip(("high", "low"), ends(by_value(chosen, scores), top), strict=True):
        rows = tuple(listing.row(code, scores) for code in codes.tolist())
        yield Table(f"Component {number + 1}, {name} end", listing.header("score"), rows)


def _map(found: Components, chosen: Tensor, listing: _Listing, params: FactorsPcaParams) -> tuple[Plot, ...]:
    if found.scores.shape[1] < 2:
        return ()
    points = found.scores[:, :2].numpy()
    names = [listing.items.name(code) for code in chosen[: params.labelled].tolist()]
    first, second = (f"component {i + 1} ({float(found.shares[i]):.0%} of the variance)" for i in range(2))
    return (Plot("Items by their first two components", lambda: factor_map(points, names, first, second)),)
