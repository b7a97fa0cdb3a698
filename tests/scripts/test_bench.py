"""The arithmetic of the benchmarks, their tables and their verdicts: nothing is timed here."""

import json
import os
import sys

import _setup
import pytest
from bench import budgets, compare, deaths, figures, latency, listed, measure, stream, tables
from bench.measure import Command, CommandFailed, Workshop, last_words, stage
from bench.peers import FLOOR, NOT_DURABLE, PEERS, PROCSUP, XARGS

import procsup


def took(wall_s, cpu_s=0.0):
    return {"wall_s": wall_s, "cpu_s": cpu_s, "largest_bytes": 20e6, "tree_bytes": 30e6}


ROUNDS = [
    {PROCSUP: took(2.0, 0.0005), XARGS: took(1.0), FLOOR: took(1.6, 0.0004)},
    {PROCSUP: took(6.0, 0.0006), XARGS: took(4.0), FLOOR: took(1.6, 0.0004)},
    {PROCSUP: took(1.0, 0.0004), XARGS: took(1.0), "make -j": took(0.9)},
]


def result_of(**parts):
    return {
        "arguments": ["--quick"],
        "machine": {"CPU": "one", "Python": "CPython"},
        "missing": {},
        "left_out": {},
        "notes": {},
        "problems": {},
        **parts,
    }


def work_of(rounds, **failures):
    return {"about": "small", "few": 10, "many": 20, "rounds": rounds, "failures": failures}


def test_a_ratio_is_paired_by_round_and_has_a_median_and_a_range():
    found = figures.ratio(ROUNDS, PROCSUP, XARGS)

    assert found == (1.5, 1.0, 2.0, 3)
    assert found.text() == "1.50 (1.00 to 2.00)"


def test_a_ratio_counts_only_rounds_in_which_both_took_part():
    assert figures.ratio(ROUNDS, "make -j", XARGS) == (0.9, 0.9, 0.9, 1)
    assert figures.ratio(ROUNDS, "make -j", FLOOR) is None
    assert figures.ratio(ROUNDS, "nobody", XARGS) is None


def test_what_is_beyond_the_floor_is_a_difference_by_round():
    assert figures.beyond(ROUNDS, PROCSUP, FLOOR).median == pytest.approx(0.00015)


def test_one_value_has_no_range_to_be_said():
    assert figures.spread([0.9]).text() == "0.90"
    assert figures.spread([]) is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1), (0.001, 1)]
)
def test_a_percentile_is_one_of_the_values_by_nearest_rank(share, expected):
    assert figures.percentile(range(100, 0, -1), share) == expected


def test_a_percentile_of_few_values_is_the_largest():
    assert figures.percentile([3.0, 1.0, 2.0], 0.99) == 3.0


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5])
def test_the_exponent_of_a_power_is_found(power):
    sizes = [10, 100, 1000]

    assert figures.exponent(sizes, [7 * n**power for n in sizes]) == pytest.approx(power)


def test_there_is_no_exponent_of_one_point():
    assert figures.exponent([10], [3]) is None
    assert figures.exponent([10, 10], [3, 4]) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.000085, "85 µs"), (0.0123, "12.3 ms"), (4.2, "4.2 s"), (900, "900 s"), (-2e-5, "-20 µs")],
)
def test_a_duration_is_said_in_the_unit_that_suits_it(seconds, said):
    assert figures.duration(seconds) == said


def test_a_table_is_aligned_and_a_bar_in_a_cell_ends_no_column():
    assert figures.table(["a", "long"], [["x|y", "1"]]) == [
        "| a    | long |",
        "| ---- | ---- |",
        "| x\\|y | 1    |",
    ]


def test_a_budget_is_held_missed_or_not_measured():
    rounds = [{PROCSUP: took(1.12, 0.0005), XARGS: took(1.0), FLOOR: took(1.0, 0.00045)}]
    judged = {b.what: b for b in budgets.judged(result_of(works={"true": work_of(rounds)}))}

    assert judged["`true`: slope to xargs -P"].held is True
    assert judged["`true`: slope to xargs -P, the goal"].held is False
    assert judged["CPU per unit beyond the bare `Popen`"].figure == pytest.approx(50e-6)
    assert judged["durability on against off, time per unit"].held is None
    assert judged["supervisor idle, 1,000 live units (of one CPU)"].figure is None


def test_durability_costs_what_a_unit_takes_longer():
    rounds = [{PROCSUP: took(1.02), NOT_DURABLE: took(1.0)}]

    assert budgets.durability(result_of(works={"true": work_of(rounds)})) == pytest.approx(0.02)


def test_growth_is_judged_only_up_to_a_hundred_thousand_units():
    def grown(*sizes):
        points = [{"units": n, "wall_s": n * 0.001} for n in sizes]
        return budgets.growth(result_of(scale={"points": {PROCSUP: points}}))

    assert grown(300, 1000, 3000) is None
    assert grown(1000, 10_000, 100_000) == pytest.approx(1.0)


def test_the_report_has_everybody_and_says_who_is_missing_and_why():
    rounds = [{name: took(1.0) for name in (PROCSUP, XARGS, "make -j")}]
    result = result_of(
        works={"true": work_of(rounds, doit="exit code 3: no such thing")},
        missing={"HyperQueue": "pip: hyperqueue"},
    )

    report = tables.report(json.loads(json.dumps(result)))

    assert "| procsup " in report
    assert "| make -j " in report
    assert "* HyperQueue: not there (pip: hyperqueue)" in report
    assert "* true: doit: exit code 3: no such thing" in report
    assert "| not measured | -" in report


def test_a_tally_is_right_only_if_each_unit_was_run_just_once(tmp_path):
    tally = tmp_path / "tally.txt"
    tally.write_text("2\n1\n3\n", encoding="ascii")

    assert compare.wrong_tally(tally, 3) == ""
    assert "of 4 units 3 were run, 3 times in all" in compare.wrong_tally(tally, 4)
    tally.write_text("1\n1\n2\n", encoding="ascii")
    assert "of 3 units 2 were run, 3 times in all" in compare.wrong_tally(tally, 3)
    assert "of 3 units 0 were run" in compare.wrong_tally(tmp_path / "none", 3)


def test_the_peers_have_names_of_their_own_and_say_what_brings_them():
    names = [peer.name for peer in PEERS]

    assert len(set(names)) == len(names)
    assert {PROCSUP, XARGS, FLOOR} <= {peer.name for peer in PEERS if peer.core}
    assert not any(peer.apt and peer.pip for peer in PEERS)


def test_a_stage_is_a_run_file_whatever_the_command_holds(tmp_path):
    path = tmp_path / "procsup.toml"
    text = stage(["sh", "-c", 'echo "$0" \\ é'], 7, jobs=3)
    path.write_text(f'name = "bench"\n{text}', encoding="utf-8")

    spec = procsup.load(path)

    assert spec.name == "bench"


def test_the_last_words_are_few_and_on_one_line(tmp_path):
    (tmp_path / "said.txt").write_text("one\n\ntwo\r\nthree\nfour\n", encoding="utf-8")

    assert last_words(tmp_path) == "two / three / four"
    assert last_words(tmp_path / "nowhere") == ""


def test_the_telling_line_names_the_failure(tmp_path):
    said = "starting\nbroken.BrokenProcessPool: a worker ended\nbye\n"
    (tmp_path / "said.txt").write_text(said, encoding="utf-8")

    assert deaths.telling(tmp_path) == "broken.BrokenProcessPool: a worker ended"


def test_ends_are_read_from_a_journal_with_their_positions(tmp_path):
    journal = tmp_path / "journal.jsonl"
    lines = ['c 1 {"t":"start","unit":"a/1"}\n', 'c 2 {"t":"end","unit":"a/1"}\n']
    journal.write_bytes("".join(lines).encode())

    assert list(latency.ends(journal)) == [("a/1", sum(map(len, lines)))]


def test_the_story_of_overlapping_stages_is_told_from_their_starts():
    def line(kind, unit):
        return "c 1 " + json.dumps({"t": kind, "unit": unit})

    story = stream.told(
        [line("start", "a/1"), line("end", "a/1"), line("start", "b/1"), line("start", "a/2")],
        "a",
        "b",
    )

    assert story == (2, 3, 1, 1, 2)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the benchmarks need a POSIX system")
def test_units_that_a_program_lists_are_measured_from_a_list_and_a_generator(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "end_strays", lambda: 0.0)  # the children here are pytest's too
    bench = Workshop(tmp_path, sys.executable)
    bench.env["PYTHONPATH"] += os.pathsep + str(_setup.ROOT)

    found = listed.measure(bench, "quick", [3])

    assert [(one["way"], one["units"]) for one in found] == [("list", 3), ("generator", 3)]
    for one in found:
        assert 0 < one["started_s"] < one["wall_s"]
        assert min(one["host_bytes"], one["supervisor_bytes"]) > 1_000_000
    rows = tables.report(result_of(listed=found)).splitlines()
    assert [row.split()[1:4:2] for row in rows[-2:]] == [["list", "3"], ["generator", "3"]]


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the benchmarks need a POSIX system")
def test_a_command_that_fails_or_hangs_is_said_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "end_strays", lambda: 0.0)  # the children here are pytest's too
    bench = Workshop(tmp_path, sys.executable)
    failing = "import sys; print('no such luck'); sys.exit(3)"
    with pytest.raises(CommandFailed, match="exit code 3: no such luck"):
        bench.cost(Command([sys.executable, "-S", "-c", failing], bench.room()))
    with pytest.raises(CommandFailed, match="ended by us after 0 s"):
        bench.cost(Command(["sleep", "1000"], bench.room()), limit_s=0.01)
