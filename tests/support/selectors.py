"""One table of selectors for the tests of every verb: words, and the units that they select.

The units are those of `RUN_FILE`. When a test uses the table, two have failed, one has succeeded,
``hold`` runs (in a dead run: has begun), and the others have not begun.
"""

from typing import Dict, List, Tuple

RUN_FILE = """
jobs = 2

[stage.fit]
command = ["{python}", "-c", "import sys; print(sys.argv[1:]); sys.exit({{code}})", "{{s}}"]
units = [
  {{ s = "a", n = 0.10, code = 0 }},
  {{ s = "b", n = 0.10, code = 3 }},
  {{ s = "[ab]", n = 2, code = 4 }},
]
id = "s={{s}},n={{n}}"

[stage.hold]
command = {hold}
id = "it"

[stage.sum]
after = ["hold"]
command = ["{python}", "-c", "pass"]
matrix.k = ["x", "y*", "yz"]
"""

FIT = ["fit/s=a,n=0.10", "fit/s=b,n=0.10", "fit/s=[ab],n=2"]
HOLD = "hold/it"
SUM = ["sum/k=x", "sum/k=y*", "sum/k=yz"]
ALL = [*FIT, HOLD, *SUM]
A, B, AB = FIT
X, Y_STAR, YZ = SUM
PARAMETERS: Dict[str, Dict[str, object]] = {
    A: {"s": "a", "n": 0.1, "code": 0},
    B: {"s": "b", "n": 0.1, "code": 3},
    AB: {"s": "[ab]", "n": 2, "code": 4},
    HOLD: {},
    X: {"k": "x"},
    Y_STAR: {"k": "y*"},
    YZ: {"k": "yz"},
}

# Selectors by name and parameter.
BY_NAME: List[Tuple[List[str], List[str]]] = [
    (["fit"], FIT),
    (["hold"], [HOLD]),
    ([A], [A]),
    (["s=a,n=0.10"], [A]),
    (["fit/*"], FIT),
    (["f*"], FIT),
    (["*n=0.10"], [A, B]),
    (["s=a"], [A]),
    (["fit/s=a"], [A]),
    (["*/s=a"], [A]),
    (["s=[ab]"], [AB]),
    (["fit/s=[ab]"], [AB]),
    ([AB], [AB]),
    (["k=y*"], [Y_STAR]),
    (["sum/k=y*"], [Y_STAR]),
    (["k=y?"], [Y_STAR, YZ]),
    (["n=0.1"], [A, B]),
    (["n=0.10"], [A, B]),
    (["n=.1"], [A, B]),
    (["n=2.0"], [AB]),
    (["n<1"], [A, B]),
    (["n>=2"], [AB]),
    (["fit/n>=2"], [AB]),
    (["code>0,n<1"], [B]),
    (["s=a,n=0.1"], [A]),
    (["n=0.1,s=b"], [B]),
    (["fit,!s=a"], [B, AB]),
    (["!fit"], [HOLD, *SUM]),
    (["fit", "!s=a"], [B, AB]),
    (["!s=a,n=0.1", "fit"], [B, AB]),
    (["s=a", "k=x"], [A, X]),
    (["fit", "sum", "!n=0.1", "!k=x"], [AB, Y_STAR, YZ]),
]
# Selectors by state and result.
BY_STATE: List[Tuple[List[str], List[str]]] = [
    (["@failed"], [B, AB]),
    (["@succeeded"], [A]),
    (["fit,!@failed"], [A]),
    (["@failed,n=0.1"], [B]),
    (["verdict=failed"], [B, AB]),
    (["exit_code=3"], [B]),
    (["exit_code>3"], [AB]),
    (["wall_s<10min,@failed"], [B, AB]),
    (["tries>0"], [*FIT, HOLD]),
]
# A run of which a stage is not planned yet, selectors that name it, and what is said of it.
LATE_RUN_FILE = """
[stage.slow]
command = {hold}
id = "it"
outputs = [{{ path = "names.txt", optional = true }}]

[stage.late]
after = ["slow"]
command = ["{python}", "-c", "pass"]
matrix.k.lines = "names.txt"

[stage.quick]
command = ["{python}", "-c", "pass"]
"""
OF_LATE_STAGE = [
    ["late"],
    ["late/k=1"],
    ["la*"],
    ["late/k>1"],
    ["quick", "late"],
    ["!late"],
    ["late,k=1"],
    ["*,!late"],
]
LATE_SAID = "the units of stage late are known when slow has run"
NOT_OF_LATE_STAGE = [
    (["q=1"], f"'q=1' selects no unit that is known: {LATE_SAID}"),
    (["lat"], f"'lat' selects no unit that is known (did you mean 'late'?): {LATE_SAID}"),
    (["!lat"], f"'!lat' selects no unit that is known (did you mean 'late'?): {LATE_SAID}"),
    (["lat/k=1"], "'lat/k=1' selects no unit (did you mean 'late/k=1'?)"),
    (["@lost"], "'@lost' selects no unit now"),
]
# Of these selectors a run that is to come cannot know yet whether they select a unit.
UNCLEAR = ["q=1", "lat", "!lat", "@lost", "late/k=1", "k>0"]
# Wrong selectors, and a part of the message.
WRONG: List[Tuple[List[str], str]] = [
    (["fitt"], "'fitt' selects no unit (did you mean 'fit'?)"),
    (["fit/s=c"], "'fit/s=c' selects no unit (did you mean 'fit/s="),
    (["s=[abc]"], "'s=[abc]' selects no unit (did you mean 's=[ab]'?)"),
    (["s=c"], "'s=c' selects no unit (did you mean 's="),
    (["q=1"], "'q=1' selects no unit"),
    (["fit", "nothing"], "'nothing' selects no unit"),
    (["s=a,n=2"], "'s=a,n=2' selects no unit"),
    (["s=a,code=3"], "'s=a,code=3' selects no unit: stages are fit, hold, sum"),
    (["fit,k=x"], "'fit,k=x' selects no unit: stages are fit, hold, sum"),
    (["!fitt"], "'!fitt' selects no unit"),
    (["fit,!s=c"], "'fit,!s=c' selects no unit"),
    (["fit", "!fit"], "'fit' '!fit' together select no unit"),
    (["@fialed"], "'@fialed': unknown state (did you mean '@failed'?)"),
    (["@timed-out"], "'@timed-out' selects no unit now"),
    (["wall_s>soon"], "'wall_s>soon': expected seconds or a duration"),
    (["n>few"], "'n>few': expected a number behind >, not 'few'"),
    (["peak_memory_bytes>2X"], "expected bytes or a size"),
    ([""], "'': expected something before and after each comma"),
    (["s=a,"], "'s=a,': expected something before and after each comma"),
    (["wall_s>30d"], "'wall_s>30d' selects no unit"),
]
