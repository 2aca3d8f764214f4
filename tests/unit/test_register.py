"""Keys and names: given this register, expect this answer about a key at a date and the name beside it."""

from __future__ import annotations

from datetime import date

import pytest

from teilhabe.codes.territory import CODE, from_regional_key
from teilhabe.validation.register import Baseline, Change, Facts, Lineage, Register, _ends, normalise

PEINE = [
    ("03", "Niedersachsen"),
    ("03157", "Peine"),
    ("03157001", "Edemissen"),
    ("03157002", "Hohenhameln"),
    ("03157003", "Ilsede"),
    ("03157004", "Lahstedt"),
    ("03157005", "Lengede"),
    ("03157006", "Peine, Stadt"),
    ("03157007", "Vechelde"),
    ("03157008", "Wendeburg"),
    ("03157009", "Ilsede"),
    ("03241", "Region Hannover"),
    ("03241001", "Hannover, Landeshauptstadt"),
    ("02", "Hamburg"),
    ("02000000", "Hamburg, Freie und Hansestadt"),
]
EDITIONS = [date(2021, 12, 31), date(2022, 12, 31)]


@pytest.fixture
def register() -> Register:
    return Register(PEINE, EDITIONS, Baseline((("DG", "Deutschland"), ("09", "Bayern"))))


@pytest.mark.parametrize("code", ["DG", "03", "03157", "03157006", "03157003", "09", "02000000"])
def test_what_any_edition_or_the_baseline_names_is_known_at_any_time(register: Register, code: str) -> None:
    for reference in (date(1995, 12, 31), date(2022, 6, 30), date(2030, 1, 1), None):
        assert register.check_key(code, reference) == "known"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (date(2021, 12, 31), "unknown"),  # an edition's own date: nothing can be missing from it
        (date(2022, 6, 30), "unknown"),  # between two editions within reach: it would be in one of them
        (date(2022, 12, 31), "unknown"),
        (date(2021, 12, 30), "unlisted"),  # before the first edition: it may have existed
        (date(2023, 1, 1), "unknown"),  # after the last edition: what is new comes into the register first
        (date(2011, 12, 31), "unlisted"),
        (None, "unlisted"),
    ],
)
def test_a_key_nobody_lists_is_wrong_only_where_editions_lie_around_its_date(
    register: Register, reference: date | None, expected: str
) -> None:
    assert register.check_key("03157077", reference) == expected


def test_two_editions_too_far_apart_prove_nothing() -> None:
    register = Register(PEINE, [date(2013, 12, 31), date(2021, 12, 31)])
    assert register.check_key("03157077", date(2017, 12, 31)) == "unlisted"
    assert register.check_key("03157077", date(2014, 6, 30)) == "unlisted", "after 2013, but the next edition is 2021"
    assert register.check_key("03157077", date(2021, 12, 31)) == "unknown"


@pytest.mark.parametrize("code", ["09162000", "09162", "05"])
def test_an_area_or_level_without_an_edition_is_not_judged(code: str) -> None:
    """Municipalities are covered county by county, counties state by state; a baseline covers nothing."""
    register = Register([unit for unit in PEINE if len(unit[0]) > 2], EDITIONS, Baseline((("09", "Bayern"),)))
    assert register.check_key(code, date(2022, 6, 30)) == "unchecked"


def test_nothing_loaded_judges_nothing() -> None:
    empty = Register([], [])
    assert len(empty) == 0
    assert empty.check_key("03157006", date(2022, 6, 30)) == "unchecked"
    assert empty.check_name("03157006", "Irgendwo") == "agrees"


def test_the_rest_of_a_county_is_known_where_offices_show_its_town_apart(register: Register) -> None:
    assert register.check_key("03241999", date(2022, 6, 30)) == "known"
    assert register.check_key("03157999", date(2022, 6, 30)) == "unknown", "what could not be placed is no territory"


def test_districts_of_a_city_state_are_in_no_register(register: Register) -> None:
    assert register.check_key("02000001", date(2022, 6, 30)) == "unlisted"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("03157006", "Peine, Stadt"),
        ("03157006", "        Peine"),
        ("03157", "Peine, Landkreis"),
        ("03157", "LK Peine"),
        ("03241", "Hannover  Region"),
        ("03241001", "dav. Hannover, Lhst."),
        ("02000000", "Hamburg, Freie und Hansestadt"),
        ("03157009", "ILSEDE"),
        ("03157002", "Hohenhamelm"),  # a slip of the pen is not another place
        ("03157006", ""),
        ("99999999", "was auch immer"),  # an unknown key has no name to disagree with
    ],
)
def test_offices_write_names_differently(register: Register, code: str, name: str) -> None:
    assert register.check_name(code, name) == "agrees"


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        ("03157001", "Hohenhameln", "other"),
        ("03157007", "Wendeburg", "other"),
        ("03157001", "Stralsund", "disagrees"),
        # the county's name beside a municipality's key is no municipality's name, but Peine is also a town
        ("03157001", "Peine, Landkreis", "other"),
    ],
)
def test_a_name_of_another_unit_is_more_than_a_name_nobody_has(
    register: Register, code: str, name: str, expected: str
) -> None:
    assert register.check_name(code, name) == expected


def test_the_same_name_elsewhere_does_not_accuse(register: Register) -> None:
    """Both Ilsedes are Ilsede: the old and the new key carry one name."""
    assert register.check_name("03157003", "Ilsede") == register.check_name("03157009", "Ilsede") == "agrees"


def test_keys_that_slipped_by_one_are_all_seen(register: Register) -> None:
    """The state's monitor once carried 467 of 3,120 rows like this: names right, keys the neighbour's."""
    municipalities = [unit for unit in PEINE if unit[0].startswith("03157") and len(unit[0]) == 8]
    slipped = list(zip([c for c, _ in municipalities][1:], [n for _, n in municipalities], strict=False))
    assert len(slipped) == 8
    assert [register.check_key(code, date(2022, 6, 30)) for code, _ in slipped] == ["known"] * 8
    assert [register.check_name(code, name) for code, name in slipped] == ["other"] * 8


def test_a_renamed_unit_has_all_its_names() -> None:
    register = Register([("03152016", "Göttingen, Stadt"), ("03152016", "Neuer Name")], [])
    assert register.check_name("03152016", "Göttingen") == register.check_name("03152016", "Neuer Name") == "agrees"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Wolfenbüttel, Landkreis", "wolfenbuettel"),
        ("Bad Neuenahr-Ahrweiler, verbandsfr. Gemeinde", "bad neuenahr ahrweiler"),
        ("Oberschule1)", "oberschule1"),
        ("Weißenfels (Stadt)", "weissenfels"),
        ("Halle (Saale)", "halle"),
        ("Landkreis", "landkreis"),  # nothing but titles: better the titles than nothing
    ],
)
def test_the_part_of_a_name_that_offices_agree_on(name: str, plain: str) -> None:
    assert normalise(name) == plain


PEINE_BASELINE = Baseline(
    (("03157", "Peine"), *((code, name) for code, name in PEINE if code.startswith("03157") and len(code) == 8)),
    {"03157003": date(2015, 1, 1), "03157004": date(2015, 1, 1)},
    frozenset({"03157"}),
)
MERGER = (
    Change("03157003", "03157009", date(2015, 1, 1)),
    Change("03157004", "03157009", date(2015, 1, 1)),
)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (date(2012, 12, 31), "known"),  # an old period has its old keys
        (date(2016, 12, 31), "known"),  # offices take up to two years to change them
        (date(2017, 12, 31), "outdated"),
        (date(2024, 3, 31), "ended"),
        (None, "known"),
    ],
)
def test_a_dissolved_key_is_right_in_its_time_and_wrong_long_after(reference: date | None, expected: str) -> None:
    by_baseline = Register([], [], PEINE_BASELINE)
    by_register = Register(PEINE, EDITIONS, ends=PEINE_BASELINE.ends)
    assert by_baseline.check_key("03157003", reference) == by_register.check_key("03157003", reference) == expected


@pytest.mark.parametrize("code", ["03157999", "03157000", "03157010"])
def test_a_county_known_in_full_has_no_other_municipalities_even_before_a_register_came(code: str) -> None:
    register = Register([], [], PEINE_BASELINE)
    assert register.check_key(code, date(2024, 3, 31)) == "unknown"
    assert register.check_key("03158001", date(2024, 3, 31)) == "unchecked", "of other counties nothing is known"


@pytest.mark.parametrize(
    ("ars", "levels", "key"),
    [
        ("031570006006", "municipality", "03157006"),
        ("31570006006", "municipality", "03157006"),
        ("031535401006", "municipality", "03153006"),
        ("031535401000", "association", "031535401"),
        ("031010000000", "municipality", "03101000"),
        ("031570000000", "county", "03157"),
        ("030000000000", "state", "03"),
        ("110000000000", "county", "11000"),
        ("990000000000", "state", "990000000000"),
        ("03157006", "municipality", "03157006"),
        ("0315700O6006", "municipality", "0315700O6006"),
    ],
)
def test_a_regional_key_is_read_as_the_key_all_datasets_share(ars: str, levels: str, key: str) -> None:
    """Eleven digits have lost their zero; where it ends in zeros the level of the dataset says what is meant."""
    assert from_regional_key(ars, [levels]) == key


@pytest.mark.parametrize("key", ["DG", "03", "031", "03157", "03157006", "031535401", "16063", "11000000"])
def test_keys_of_a_state_its_parts_and_the_country(key: str) -> None:
    assert CODE.fullmatch(key)


@pytest.mark.parametrize(
    "key", ["99999999", "99999", "17", "00", "00157", "0315", "031570", "0315700", "0315700600", "dg"]
)
def test_no_territory_lies_in_a_state_that_is_none(key: str) -> None:
    """A sender without register would otherwise have a municipality 99999999 that nobody can check."""
    assert not CODE.fullmatch(key)


def test_municipalities_end_with_the_key_of_their_county() -> None:
    register = Register(
        [("03152", "Göttingen"), ("03152012", "Göttingen, Stadt")], EDITIONS, ends={"03152": date(2016, 11, 1)}
    )
    assert register.check_key("03152012", date(2022, 12, 31)) == "ended"
    assert register.check_key("03152012", date(2017, 12, 31)) == "known"


def test_a_finding_names_the_key_that_is_meant() -> None:
    register = Register(PEINE, EDITIONS, lineage=Lineage(lambda: Facts(changes=MERGER)), ends=PEINE_BASELINE.ends)
    assert register.instead("03157003") == "03157009 (Ilsede)", "what followed it"
    assert register.instead("03157077", "Vechelde") == "03157007 (Vechelde)", "the unit of that name"
    assert register.instead("03157003", "Ilsede") == "03157009 (Ilsede)", "the one that still exists"
    assert register.instead("03157077", "Nirgendwo") is None
    assert register.instead("03157077", "Peine, Stadt") == "03157006 (Peine, Stadt)"
    for name in ("Peine (nicht zuzuordnen)", "Peine, nicht zuzuordnen", "Peine, übrige"):
        assert register.instead("03157999", name) is None, "what is left of a unit is not that unit"
    assert register.instead("03157077") is None


def test_when_a_key_ended_is_known_from_lists_editions_or_the_baseline_and_a_later_edition_knows_better() -> None:
    first, second, third = date(2013, 12, 31), date(2017, 12, 31), date(2021, 12, 31)
    days = {("03157", 8): [first, second, third], ("03", 5): [first, second, third]}
    seen = {"03157003": first, "03157006": third, "03157008": second, "03157": third}
    assert _ends(seen, days, MERGER[:1], Baseline()) == {"03157003": date(2015, 1, 1), "03157008": third}
    assert _ends(seen, days, (), Baseline(ends={"03157006": date(2015, 1, 1)})) == {
        "03157003": second,
        "03157008": third,
    }, "an edition still has 03157006, so it has not ended; without a list a key is gone by the next edition"
    back = (Change("03157003", "03157009", date(2015, 1, 1)), Change("03157009", "03157003", date(2020, 1, 1)))
    assert "03157003" not in _ends({}, {}, back, Baseline()), "it came back"
