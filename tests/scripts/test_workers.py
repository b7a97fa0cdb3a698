"""The logic in the workers of configs/: trimming, placing, comparing, refusing."""

import gzip

import pytest
from nightly.load import summed
from samples import align, call, trim
from samples.files import Broken, Read, reads
from sweep.table import compared


def test_the_bad_end_of_a_read_is_cut():
    assert trim.trimmed(Read("r", "ACGTAC", "II#I##")) == Read("r", "ACGT", "II#I")
    assert trim.trimmed(Read("r", "AC", "##")) == Read("r", "", "")


def fastq(path, *names, length=40):
    text = "".join(f"@{name}\n{'A' * length}\n+\n{'I' * length}\n" for name in names)
    path.write_bytes(gzip.compress(text.encode("ascii")))
    return str(path)


def test_pairs_that_are_not_in_step_are_refused_and_nothing_is_left(tmp_path, capsys):
    pair = [fastq(tmp_path / "1.gz", "a", "b"), fastq(tmp_path / "2.gz", "a")]

    assert trim.main([*pair, "--out", str(tmp_path / "o1.gz"), str(tmp_path / "o2.gz")]) == 2

    assert "not in step" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.gz", "2.gz"]


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"@r\nACGT\n+\nII\n", mtime=0)])
def test_a_broken_file_is_named(tmp_path, data):
    path = tmp_path / "x.fastq.gz"
    path.write_bytes(data)

    with pytest.raises(Broken, match=r"x\.fastq\.gz"):
        list(reads(path))


GENOME = "ACGTTGCATTAGCCGATCGGATATCCGGAGTACCATGCTTAGGACT"


def test_a_read_is_placed_on_either_strand():
    index = align.words(GENOME)
    backwards = GENOME[5:40].translate(align.COMPLEMENT)[::-1]

    assert align.place(GENOME[5:40], index) == (5, GENOME[5:40])
    assert align.place(backwards, index) == (5, GENOME[5:40])
    assert align.place("A" * 35, index) is None


def test_a_difference_needs_enough_reads_that_agree():
    depths = {
        3: call.Counter("AAAC"),  # T in the reference, most say A
        4: call.Counter("TTTG"),  # as the reference
        6: call.Counter("AA"),  # too few
        7: call.Counter("GGTT"),  # no majority
    }

    assert list(call.differences(GENOME, depths, least=3)) == [(4, "T", "A", 3, 4)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("order,amount\na,1.10\na,2\n", "line 3: order a stands there twice"),
        ("order,amount\na,1.10\nb,many\n", "line 3: expected an amount"),
        ("order\na\n", "line 2: expected an amount"),
    ],
)
def test_a_delivery_that_cannot_be_used_is_refused_with_its_line(tmp_path, text, said):
    path = tmp_path / "orders.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=said):
        summed(path)


def test_amounts_are_summed_as_written(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("order,amount\na,0.10\nb,0.20\n", encoding="utf-8")

    assert summed(path) == {"orders": 2, "total": "0.30"}


def test_a_configuration_that_failed_with_a_seed_is_not_better_for_it():
    result = {"degree": 1, "epochs": 2, "rate": 0.1, "penalty": 0}
    results = [
        {**result, "error": 0.4},
        {**result, "error": 0.2},
        {**result, "rate": 1.0, "error": 0.1},
    ]

    rows = compared(results)

    assert [(row["rate"], row["seeds"], row["error"]) for row in rows] == [
        (0.1, 2, 0.3),
        (1.0, 1, 0.1),
    ]
