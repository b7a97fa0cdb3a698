"""Globs over what earlier stages make: only what is vouched for is found."""

import os

import pytest

from procsup.core.outcome import Reading
from procsup.errors import RunFileError
from tests.paths.test_walk import link
from tests.runfile.builders import CAPACITY, grow, load_text

MAKER = '[stage.m]\nmodule = "m"\noutputs = {outputs}\n'
MAKERS = '[stage.m]\nmodule = "m"\nmatrix.s = ["A", "B"]\noutputs = {outputs}\n'
USER = '[stage.u]\nmodule = "m"\nafter = ["{after}"]\n{look}\n'


class Late:
    """A run file whose stage `u` is expanded after `m` made the files that are told."""

    def __init__(self, folder, text):
        self.folder = folder
        self.loaded = load_text(folder, text)
        self.loaded.expand_early(CAPACITY)

    def units(self, *made):
        spec = self.loaded.spec.stage("u")
        readings = tuple(Reading(str(self.folder / path), 1, 1) for path in made)
        outputs = {name: [("m", readings)] for name in spec.looks_into}
        return self.loaded.expand("u", CAPACITY, outputs)

    def inputs(self, *made):
        (unit,) = self.units(*made)
        paths = [os.path.relpath(path, str(self.folder)) for path in unit.inputs]
        return [path.replace(os.sep, "/") for path in paths]

    @property
    def notes(self):
        return self.loaded.notes("u")


@pytest.mark.parametrize("outputs", ['["o/"]', '["o/*.txt"]', '["o/{x,y}*.txt", "o/z.txt"]'])
@pytest.mark.parametrize("look", ['inputs = ["o/*.txt"]', 'inputs = ["**/?.txt"]'])
def test_inputs_by_a_glob_are_what_is_vouched_for(outputs, look, tmp_path):
    late = Late(tmp_path, MAKER.format(outputs=outputs) + USER.format(after="m", look=look))
    grow(tmp_path, "o/x.txt", "o/y.txt", "o/z.txt")

    assert late.inputs("o/x.txt", "o/z.txt") == ["o/x.txt", "o/z.txt"]
    source = look.split('"')[1]
    assert late.notes == (f"u: `{source}` leaves out outputs that are not vouched for: o/y.txt",)
    assert late.inputs("o/x.txt", "o/y.txt", "o/z.txt") == ["o/x.txt", "o/y.txt", "o/z.txt"]
    assert late.notes == ()


def test_units_by_a_glob_are_what_is_vouched_for_beside_what_no_stage_makes(tmp_path):
    text = MAKERS.format(outputs='["o/{s}/"]')
    text += USER.format(after="m", look='matrix.f.glob = "{d:*}/{s:*}/*.txt"')
    late = Late(tmp_path, text)
    grow(tmp_path, "o/A/1.txt", "o/B/1.txt", "o/C/1.txt", "raw/A/1.txt")

    found = [str(unit.parameters["f"]) for unit in late.units("o/A/1.txt")]

    assert found == ["o/A/1.txt", "o/C/1.txt", "raw/A/1.txt"]


def test_folders_without_anything_that_is_vouched_for_are_left_out(tmp_path):
    text = MAKER.format(outputs='["o/"]')
    text += USER.format(after="m", look='matrix.f.glob = "{d:*}/*/"')
    late = Late(tmp_path, text)
    grow(tmp_path, "o/A/deep/1.txt", "o/B/1.txt", "p/C/1.txt")

    assert [unit.parameters["f"] for unit in late.units("o/A/deep/1.txt")] == ["o/A", "p/C"]


def test_a_file_of_a_unit_that_failed_is_left_out_and_files_may_be_none(tmp_path):
    text = MAKERS.format(outputs='["o/{s}.txt"]')
    text += '[stage.u]\nmodule = "m"\nafter = [{ stage = "m", when = "finished" }]\n'
    text += 'inputs = ["o/*.txt"]\n'
    late = Late(tmp_path, text)
    grow(tmp_path, "o/A.txt", "o/B.txt")

    assert late.inputs("o/B.txt") == ["o/B.txt"]
    with pytest.raises(RunFileError) as refused:
        late.inputs()
    said = "`o/*.txt` leaves out outputs that are not vouched for: o/A.txt, o/B.txt, and matches"
    assert said in str(refused.value)


def test_a_stage_far_before_it_counts_as_well(tmp_path):
    text = MAKER.format(outputs='["o/"]') + '[stage.n]\nmodule = "m"\nafter = ["m"]\n'
    late = Late(tmp_path, text + USER.format(after="n", look='depends = ["o/*"]'))
    grow(tmp_path, "o/x", "o/y")

    (unit,) = late.units("o/y")

    assert [os.path.basename(path) for path in unit.depends] == ["y"]


def test_files_by_another_name_through_links_are_the_same(tmp_path):
    grow(tmp_path, "real/o/x", "real/o/y", "far/x", "far/y")
    link(tmp_path / "real", tmp_path / "by")
    link(tmp_path / "far", tmp_path / "linked")
    text = MAKER.format(outputs='["real/o/", "linked/"]')
    text += USER.format(after="m", look='inputs = ["by/o/*", "far/*"]')
    late = Late(tmp_path, text)

    assert late.inputs("real/o/x", "linked/y") == ["by/o/x", "far/y"]


def test_only_what_a_glob_may_match_is_asked_for(tmp_path):
    text = MAKER.format(outputs='["o/"]')
    for look, asked in [
        ('inputs = ["o/*"]', ("m",)),
        ('inputs = ["p/*"]', ()),
        ('inputs = { from = "m" }', ()),
        ('inputs = ["o/x"]', ()),
        ('matrix.l.lines = "o/list"', ()),
        ('zip.f.glob = "o/{s:*}"', ("m",)),
    ]:
        spec = load_text(tmp_path, text + USER.format(after="m", look=look)).spec
        assert spec.stage("u").looks_into == asked
        assert spec.stage("m").looks_into == ()


def test_of_very_many_globs_with_one_beginning_and_end_each_counts(tmp_path):
    names = [f"n{number}" for number in range(100)]
    outputs = ", ".join(f'"o/a*{name}*.txt"' for name in names)
    text = MAKER.format(outputs=f"[{outputs}]")
    late = Late(tmp_path, text + USER.format(after="m", look='inputs = ["o/*"]'))
    files = [f"o/a-{name}-.txt" for name in names]
    grow(tmp_path, *files, "o/other.txt")

    assert late.inputs(files[0]) == [files[0], "o/other.txt"]
