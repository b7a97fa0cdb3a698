"""Placeholders: what they become."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates import template as templates
from procsup.runfile.templates.template import Files, Template

VALUES = {
    "index": 7,
    "source": "lib/pkg/mod.tar.gz",
    "lr": 0.5,
    "flag": True,
    "inputs": Files(("a", "b"), None, "list.txt"),
    "outputs": Files(("x/y.json", "z"), {"json": "x/y.json", "rest": ("z",)}),
    "many": ("p", 1, True),
    "none": Files(()),
}


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{{index}}}", "{7}"),
        ("{index:04d}", "0007"),
        ("{lr:.2f}", "0.50"),
        ("{flag}-{flag:>6}", "true-  true"),
        ("{source}", "lib/pkg/mod.tar.gz"),
        ("{source.name}/{source.stem}{source.suffix}", "mod.tar.gz/mod.tar.gz"),
        ("{source.parent.parent.name}", "lib"),
        ("{outputs.json.stem}", "y"),
        ("{outputs[1]}{inputs[0]}", "za"),
        ("{inputs.file}", "list.txt"),
        ("{many[0]}", "p"),
    ],
)
def test_a_template_is_filled_in(source, rendered):
    assert Template(source).render(VALUES) == rendered


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("{inputs}", ["a", "b"]),
        ("{outputs}", ["x/y.json", "z"]),
        ("{outputs.rest}", ["z"]),
        ("{many}", ["p", "1", "true"]),
        ("{none}", []),
        ("{index}", ["7"]),
        ("a b", ["a b"]),
    ],
)
def test_a_list_alone_becomes_several_arguments(source, arguments):
    assert Template(source).render_all(VALUES) == arguments


@pytest.mark.parametrize("source", ["{inputs[2]}", "{outputs.x}", "{index:x>y}", "{source:d}"])
def test_what_does_not_fit_is_wrong(source):
    with pytest.raises(Wrong):
        Template(source).render(VALUES)


NAMES = st.text(st.sampled_from("ab.-"), min_size=1, max_size=5).filter(
    lambda name: name.strip(".") and not name.endswith(".")
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@given(PATHS)
def test_parts_of_paths_are_those_of_pathlib(path):
    pure = PurePosixPath(path)

    assert templates.take_name(path) == pure.name
    assert templates.take_stem(path) == pure.stem
    assert templates.take_suffix(path) == pure.suffix
    assert templates.take_parent(path) == str(pure.parent)


def test_a_folder_has_parts_too():
    assert templates.take_name("out/x/") == "x"
    assert templates.take_parent("out/x/") == "out"
    assert templates.take_parent("/x") == "/"


@given(st.text())
def test_any_text_can_be_written_with_doubled_braces(text):
    source = text.replace("{", "{{").replace("}", "}}").replace("\0", "")

    assert Template(source).render({}) == text.replace("\0", "")


@given(st.text(st.sampled_from("{}[].:!ax0 \"'*"), max_size=12))
def test_any_other_text_is_either_read_or_wrong(text):
    try:
        template = Template(text)
    except Wrong:
        return
    assert template.constant is not None or template.fields


@pytest.mark.parametrize(
    "spec", ["999999999999", "10001", ".999999999999f", "0>10001", "5.10001f", "9" * 5000]
)
def test_a_giant_width_or_precision_is_refused(spec):
    with pytest.raises(Wrong, match="expected a width or precision of at most 10,000"):
        Template(f"{{n:{spec}}}")


def test_a_wide_placeholder_is_fine():
    assert len(Template("{n:010000d}").render({"n": 1})) == 10_000
    assert Template("{n:9>3.2f}").render({"n": 1.0}) == "1.00"
