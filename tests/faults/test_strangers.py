"""The harness of strangers sees what it is there to see: faults put into procsup, one by one."""

import os
import sys

import pytest

from tests.faults import strangers
from tests.faults.strangers import Cell, plants, races
from tests.faults.strangers.scene import CHANGES, HOOKED, LIVE, READS, Scene
from tests.faults.system_calls.starting import Seam
from tests.faults.trial import Trial

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="strangers own files by root's help only"
)
BROKEN = "tests.faults.system_calls.broken:"
FIRST, READ = {act.name: act for act in CHANGES}["first run"], {act.name: act for act in READS}
ON_LIVE = {act.name: act for act in LIVE}


def failures_of(folder, act, kind, name, *breakages, touch=None):
    """Let one act meet one stranger, in a procsup that has these faults."""
    folder.mkdir()
    trial = Trial("strangers", "smoke", folder)
    words = [*(BROKEN + one for one in breakages), HOOKED]
    with Seam(*words) as seam, Seam(*words) as other_seam:
        scene = Scene(trial, seam, other_seam)
        clean, touches = scene.noted(act)
        top = str(scene.cases[act.project].project.folder)
        path = os.path.join(top, name)
        if touch is not None:
            number = max(number for at, number in touches if at == path)
            touch = (path, min(touch, number))
        strangers._try(scene, Cell(act, kind, path, touch), clean)
    assert trial.cases == 1
    return trial.failures


@pytest.mark.survives("F86")
@pytest.mark.parametrize(
    ("act", "kind", "name", "breakage", "said"),
    [
        (
            FIRST,
            "hard link",
            ".procsup/run/run.lock",
            "links_are_followed locks_of_others_are_taken",
            "changed outside",
        ),
        (READ["wait"], "theirs", ".procsup/run/manifest.json", "owners_do_not_count", "success"),
        (READ["wait"], "link", ".procsup/run/manifest.json", "owners_do_not_count", "success"),
        (
            READ["logs of another"],
            "hard link",
            ".procsup/run/logs/make/n=1.1.out",
            "owners_do_not_count",
            "somebody else",
        ),
    ],
)
@pytest.mark.parametrize("touch", [None, 1])
def test_a_seeded_fault_is_caught(tmp_path, act, kind, name, breakage, said, touch):
    assert failures_of(tmp_path / "right", act, kind, name, touch=touch) == []

    found = failures_of(tmp_path / "wrong", act, kind, name, *breakage.split(), touch=touch)

    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("act", "kind", "name", "breakage", "said", "touch"),
    [
        (
            FIRST,
            "mount on a file",
            ".procsup/run/run.lock",
            "locks_of_others_are_taken",
            "changed outside",
            None,
        ),
        (
            READ["status where others may write"],
            "theirs",
            "home/procsup/config.toml",
            "anyone_may_say_what_is_trusted",
            "trusted by the word of somebody else",
            None,
        ),
        (
            ON_LIVE["live wait for a time"],
            "link to a folder",
            ".procsup/run/control",
            "requests_are_read_by_path",
            "changed outside",
            None,
        ),
    ],
)
def test_a_fault_in_a_further_place_is_caught(tmp_path, act, kind, name, breakage, said, touch):
    test_a_seeded_fault_is_caught(tmp_path, act, kind, name, breakage, said, touch)


def test_the_form_pairs_meets_each_pair_with_few_cells():
    places, moments = [f"place-{n}" for n in range(20)], [None, *((f"/top/{n}", 1) for n in "abc")]
    cells = [
        Cell(act, kind, f"/top/{place}", moment)
        for act in (FIRST, *READ.values())
        for kind in plants.KINDS
        for place in places
        for moment in moments
    ]
    met = set()
    chosen = strangers.cover_pairs(cells, met, "/top/")
    again = strangers.cover_pairs(cells, met, "/top/")

    assert set().union(*(cell.pairs("/top/") for cell in chosen)) == met
    assert set().union(*(cell.pairs("/top/") for cell in cells)) == met
    assert again == []
    assert len(chosen) < len(cells) / 20


def test_what_is_planted_comes_into_its_place_as_a_whole_and_a_stranger_s(tmp_path, monkeypatch):
    here, twin = tmp_path / "here", tmp_path / "twin"
    here.write_text("ours")
    twin.write_text("theirs")
    place = plants.Place(str(here), str(twin), str(tmp_path / "park"), str(tmp_path))
    seen, give = [], plants.give

    def giving(path):
        seen.append(here.read_text())
        give(path)

    monkeypatch.setattr(plants, "give", giving)
    plants.plant("theirs", place)

    assert seen == ["ours"]
    assert (here.read_text(), here.stat().st_uid) == ("theirs", plants.STRANGER)

    plants.take_away("theirs", place)

    assert here.read_text() == "ours"


def by_path(run):
    return lambda: (run / "new").touch()


def test_what_is_done_by_path_is_led_elsewhere_by_a_swapper(tmp_path, monkeypatch):
    monkeypatch.setattr(races, "RACES", {"by path": by_path})
    trial = Trial("strangers", "quick", tmp_path)

    races.attack(trial)

    assert trial.failures or trial.left_out
    assert all("led elsewhere" in failure for failure in trial.failures)
