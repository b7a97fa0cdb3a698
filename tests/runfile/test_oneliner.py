import pytest

from procsup.core.late import MARKS
from procsup.host.shells import make_bash, make_powershell
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.oneliner import (
    ArgvMaker,
    Manner,
    ShellMaker,
    Values,
    read_words,
)


def fill(word, *texts, repeats=False, **manner):
    words = read_words([word], Manner(**{"most": len(texts), **manner}))
    return ArgvMaker(words, repeats=repeats, several=len(texts) != 1).make(Values(texts, 7, 9))


PLAIN = [
    ("{}", "d/a.tar.gz", "d/a.tar.gz"),
    ("{.}", "d/a.tar.gz", "d/a.tar"),
    ("{/}", "d/a.tar.gz", "a.tar.gz"),
    ("{//}", "d/a.tar.gz", "d"),
    ("{//}", "a", "."),
    ("{/.}", "d/a.tar.gz", "a.tar"),
    ("{.}", "d.d/a", "d.d/a"),
    ("{.}", "a.", "a"),
    ("{.}", ".profile", ""),
    ("{.stem}", ".profile", ".profile"),
    ("{.name}", "d/a.b", "a.b"),
    ("{.suffix}", "d/a.b", ".b"),
    ("{.parent}", "d/a.b", "d"),
    ("<{}>{.}{}", "a.b", "<a.b>aa.b"),
    ("{#}", "x", "7"),
    ("{%}", "x", MARKS["slot"]),
    ("{1}{-1}{1.}", "a.b", "a.ba.ba"),
]


@pytest.mark.parametrize(("word", "text", "filled"), PLAIN)
def test_placeholders_are_filled_with_an_input_or_a_part_of_it(word, text, filled):
    assert fill(word, text) == [filled]


PLUS = [
    ("{..}", "d/a.tar.gz", "d/a"),
    ("{...}", "d/a.tar.gz", "d/a.tar.gz"),
    ("{/..}", "d/a.tar.gz", "a"),
    ("{/...}", "d/a.x.y.z", "a"),
    ("{+/}", "d/a.tar.gz", "d"),
    ("{+/}", "a", ""),
    ("{+.}", "d/a.tar.gz", "gz"),
    ("{+..}", "d/a.tar.gz", "tar.gz"),
    ("{+...}", "d/a.tar.gz", ""),
    ("{1..}", "a.b.c", "a"),
    ("{##}", "x", "9"),
]


@pytest.mark.parametrize(("word", "text", "filled"), PLUS)
def test_plus_has_more_placeholders(word, text, filled):
    assert fill(word, text, plus=True) == [filled]
    with pytest.raises(Wrong, match="with --plus only"):
        fill(word, text)


@pytest.mark.parametrize(
    ("word", "glued", "repeated"),
    [
        ("{}", "a.x b", "a.x b"),
        ("<{}>", "<a.x b>", "<a.x> <b>"),
        ("{.}x{}", "a bxa.x b", "axa.x bxb"),
        ("{1}x", "a.xx", "a.xx"),
        ("{1}-{2}", "a.x-b", "a.x-b"),
        ("{}:{2}", "a.x b:b", "a.x:b b:b"),
    ],
)
def test_several_inputs_are_glued_to_a_word_or_repeat_it(word, glued, repeated):
    assert fill(word, "a.x", "b") == glued.split()
    assert fill(word, "a.x", "b", repeats=True) == repeated.split()


@pytest.mark.parametrize("repeats", [False, True])
def test_inputs_that_are_not_filled_in_leave_nothing(repeats):
    assert fill("{}", most=1, repeats=repeats) == []
    assert fill("<{}{#}{1}>", most=1, repeats=repeats) == ["<7>"]


def test_without_a_placeholder_the_inputs_are_put_behind():
    assert fill("x", "a", "b") == ["x", "a", "b"]
    assert fill("x{#}", "a", "b") == ["x7"]


def test_another_text_may_stand_for_the_input():
    assert fill(",,/{}{.}", "a.b", replacement=",,") == ["a.b/{}a"]


def test_a_missing_input_is_an_empty_text():
    assert fill("{1}-{2}-{-2//}", "a", most=None) == ["a--"]


def test_columns_have_names():
    names = {"x": 1, "sample id": 2, "x.y": 3}
    assert fill("{x}-{sample id.}-{x.y}-{3}", "a", "b.c", "d", names=names) == ["a-b-d-d"]


FOREIGN = [
    "${HOME}", "{print $1}", "{ print }", '{"a": 1}', "{a,b}", "{{.Name}}", "{{x}}", "a{2,3}",
    "{0..9}", "{a..z}", "{01..10..2}", "{", "}", "{x;}", "/x/{:a;n;p;ba}", "{color:red}", "{0: 1}",
    "f(){ g; }", "\\{3\\}", "${1}", "{{1}}",
]  # fmt: skip


@pytest.mark.parametrize("word", FOREIGN)
def test_braces_of_others_stay_as_they_are(word):
    assert fill(f"{word}{{}}", "IN") == [f"{word}IN"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("{foo}.jpg", "{foo} in '{foo}.jpg' is no placeholder of map, which has {} {.}"),
        ("out/{input}", "is no placeholder"),
        ("frame-{:04d}.png", "is no placeholder"),
        ("{0:>3}", "is no placeholder"),
        ("{1!r:}", "is no placeholder"),
        ("{+}", "is no placeholder"),
        ("a{3}", "{3} in 'a{3}': a unit has one input; braces that hold a blank"),
        ("{-2}", "a unit has one input"),
        ("{0}", "the first input is {1}"),
        ("{= s/a/b/ =}", "Perl"),
        ("{=", "Perl"),
    ],
)
def test_a_group_that_looks_like_a_placeholder_is_refused(word, said):
    with pytest.raises(Wrong) as caught:
        fill(word, "a")

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_input_has_a_place_where_as_many_as_fit_are_taken():
    with pytest.raises(Wrong, match="so none has a place"):
        fill("{1}", "a", is_open=True)


def fill_shell(text, *texts, shell=None, several=False, **manner):
    words = read_words([text], Manner(**{"most": len(texts), **manner}))
    maker = ShellMaker(words, shell or make_bash(), several=several)
    return maker.make(Values(texts, 7))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("gzip <{} >{}.gz", "gzip <'a b;c' >'a b;c'.gz"),
        ("cat", "cat 'a b;c'"),
        ("echo ${HOME} {#} $(x)", "echo ${HOME} 7 $(x)"),
        ("v={/}; echo ${v#a}", "v='a b;c'; echo ${v#a}"),
        ("f() { echo {.stem}; }; f", "f() { echo 'a b;c'; }; f"),
    ],
)
def test_a_shell_gets_each_value_quoted(text, line):
    assert fill_shell(text, "a b;c") == ["bash", "-euo", "pipefail", "-c", line]


def test_several_inputs_are_several_words_of_the_shell():
    assert fill_shell("cat {} | wc", "a b", "c", several=True)[-1] == "cat 'a b' c | wc"


def test_powershell_gets_its_own_quotes():
    assert "echo 'it''s' $x" in fill_shell("echo {} $x", "it's", shell=make_powershell("pwsh"))[-1]


@pytest.mark.parametrize(
    ("text", "several", "said"),
    [
        ('echo "{/.}"', False, "{/.} stands in quotes: procsup quotes each placeholder itself"),
        ("echo x{}", True, "{} is a list: it needs a blank before and after it"),
    ],
)
def test_a_place_where_a_value_cannot_be_quoted_is_refused(text, several, said):
    with pytest.raises(Wrong) as caught:
        fill_shell(text, "a", several=several)

    assert said in str(caught.value)
