"""Grammars against Python's own regular expressions."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lprnet.runtime.alphabet import CHINA, Alphabet
from lprnet.runtime.grammar import MAX_STATES, Automaton, compile_grammar
from lprnet.runtime.plate_grammar import GRAMMAR

SMALL = ("a", "b", "7", ".")
CHINA_PLATES = compile_grammar(GRAMMAR, CHINA.characters)


def accepts(automaton: Automaton, characters: tuple[str, ...], text: str) -> bool:
    return automaton.accepts([characters.index(character) for character in text])


def _expressions() -> st.SearchStrategy[str]:
    """Expressions of the subset over `SMALL`, each atom in brackets."""
    atoms = st.sampled_from(["a", "b", "7", r"\.", "[ab]", "[a-b7]", r"[\.7]"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        group = inner.map(lambda text: f"(?:{text})")
        repeat = st.sampled_from(["?", "*", "+", "{2}", "{0,2}", "{1,3}"])
        return st.one_of(
            st.tuples(group, group).map("".join),
            st.tuples(inner, inner).map("|".join),
            st.tuples(group, repeat).map("".join),
        )

    return st.recursive(atoms, larger, max_leaves=5)


@given(_expressions(), st.lists(st.text("ab7.", max_size=6), max_size=20))
def test_the_same_texts_as_python(pattern: str, texts: list[str]) -> None:
    automaton = compile_grammar(pattern, SMALL)
    for text in texts:
        assert accepts(automaton, SMALL, text) == bool(re.fullmatch(pattern, text))


@given(st.text("皖京A0DI8", max_size=9))
def test_chinas_plates(text: str) -> None:
    assert accepts(CHINA_PLATES, CHINA.characters, text) == CHINA.is_plate(text)


@pytest.mark.parametrize("text", ["皖A12345", "皖AD12345", "粤B12345F", "京AAAAAA"])
def test_ordinary_and_new_energy_plates(text: str) -> None:
    assert accepts(CHINA_PLATES, CHINA.characters, text)


@pytest.mark.parametrize("text", ["皖A1234", "皖A123456", "皖AO2345", "A皖12345", "粤BL12345"])
def test_what_no_plate_can_be(text: str) -> None:
    assert not accepts(CHINA_PLATES, CHINA.characters, text)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("a(b", "character 4"),
        ("a)", "character 2"),
        ("[ab", "character 4"),
        ("[]", "character 3"),
        ("[b-a]", "character 5"),
        ("[^a]", "character 2"),
        ("*a", "character 1"),
        ("a.b", "character 2"),
        ("^a$", "character 1"),
        ("a{2", "character 2"),
        ("a{3,2}", "character 2"),
        ("a{,2}", "character 2"),
        ("a{2,}", "character 2"),
        ("a{999}", "character 2"),
        ("a\\", "character 3"),
        ("a**", "character 3"),
        ("((a{9}){9}){9}", "over 64 characters and sets"),
        ("a{40}b{40}", "over 64 characters and sets"),
        ("(" * 30 + "a" + ")" * 30, "over 20 parentheses"),
        ("a" * 5000, "has over 1000 characters"),
        ("[ -\U0010ffff]" * 60, "over 131,072 characters together at character 5"),
        ("[一-龥]" * 7, "over 131,072 characters together at character 35"),
    ],
)
def test_what_is_no_grammar_is_named_with_its_place(pattern: str, place: str) -> None:
    with pytest.raises(ValueError, match=place):
        compile_grammar(pattern, SMALL)


@pytest.mark.parametrize("pattern", ["xyz", "", "()", "x?"])
def test_grammar_that_no_text_of_the_alphabet_matches(pattern: str) -> None:
    """Or none but the empty one, as where the line of an alphabet's file says nothing."""
    with pytest.raises(ValueError, match="no text of the alphabet"):
        compile_grammar(pattern, SMALL)


def test_grammar_of_too_many_states() -> None:
    with pytest.raises(ValueError, match=f"over {MAX_STATES} states"):
        compile_grammar("(?:a|b)*a(?:a|b){12}", SMALL)


def test_symbols_are_short() -> None:
    with pytest.raises(ValueError, match="has over 16 characters"):
        Alphabet("long", ("-", "a", "x" * 5000), 0, "a+")


@pytest.mark.parametrize("symbol", ["\x1b[31m", "a\tb", "\n", "\x00", "\u2028", "\ud800"])
def test_symbols_can_stand_in_a_line(symbol: str) -> None:
    """Texts are printed with tabs between them, a line each, in UTF-8."""
    with pytest.raises(ValueError, match="is none that a line of text can hold"):
        Alphabet("odd", ("a", symbol, "-"), 2)


def test_symbols_of_any_script() -> None:
    for symbol in ("\u3000", "\u0301", "\u200b", "\ue000", "\U0001f697", " "):
        assert Alphabet("odd", ("a", symbol, "-"), 2).encode(symbol) == (1,)


def test_an_alphabet_has_so_many_symbols() -> None:
    with pytest.raises(ValueError, match="at most 65,536 symbols"):
        Alphabet("many", tuple(map(str, range(70_000))), 0)


def test_a_repeated_symbol_among_many_is_found() -> None:
    """The one that is repeated may be the last; looked for one by one it takes half a minute."""
    with pytest.raises(ValueError, match="the symbol '59999' stands for more than one class"):
        Alphabet("many", (*map(str, range(60_000)), "59999"), 0)


@pytest.mark.parametrize("count", [10_000, 60_000])
def test_a_grammar_of_many_sets_for_many_long_symbols(count: int) -> None:
    """Each symbol is followed from each state: minutes."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEF"
    many = tuple(
        "".join(letters[number >> 3 * place & 7 | place & 24] for place in range(16))
        for number in range(count)
    )
    assert len({*many}) == count
    with pytest.raises(ValueError, match="too many sets for so many and so long symbols"):
        Alphabet("many", (*many, "-"), count, f"({'|'.join(letters)})*")


@pytest.mark.parametrize("blank", [0, 1, 3])
def test_symbols_of_several_characters(blank: int) -> None:
    """A letter and its combining accent are one class, as two letters may be."""
    symbols = ["A\u0301", "B", "CD"]
    symbols.insert(blank, "-")
    alphabet = Alphabet("accents", tuple(symbols), blank, "(A\u0301|CD)B+")
    plates = ["A\u0301B", "CDBB", "B", "A\u0301", "AB", "CB", "-B", ""]
    assert [alphabet.is_plate(plate) for plate in plates] == [True, True, *[False] * 6]
