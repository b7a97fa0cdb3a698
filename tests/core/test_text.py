from procsup.core.text import last_lines, visible


def test_text_of_any_language_is_left_as_it_is():
    assert visible("naïve 部 ❤ a/b=c") == "naïve 部 ❤ a/b=c"


def test_what_could_act_on_a_terminal_is_shown_as_an_escape():
    hostile = "\x1b]52;c;x\x07 \x9b2J \u202egnp.exe \r\n\t\x00 \ufeff"

    assert visible(hostile) == ("\\e]52;c;x\\x07 \\x9b2J \\u202egnp.exe \\r\\n\\t\\x00 \\ufeff")


def test_bytes_that_are_not_utf8_appear_as_bytes_and_other_surrogates_as_code_points():
    assert visible(b"a\xff".decode("utf-8", "surrogateescape")) == "a\\xff"
    assert visible("\ud800") == "\\ud800"


def test_what_is_visible_can_be_written_in_every_encoding_that_escapes():
    every = "".join(map(chr, range(0x110000)))

    visible(every).encode("utf-8")


def test_the_last_lines_of_a_log_are_visible_lines():
    log = b"one\ntwo \xff\n\x1b[2Jthree\n\n\n"

    assert last_lines(log, 2) == ["two \\xff", "\\e[2Jthree"]


def test_a_line_that_was_overwritten_shows_its_last_state():
    assert last_lines(b"10%\r20%\r99%\nok\r\n", 5) == ["99%", "ok"]


def test_an_empty_log_has_no_last_lines():
    assert last_lines(b"\n\n", 5) == []
    assert last_lines(b"", 5) == []
    assert last_lines(b"a\nb", 0) == []
