#!/bin/sh
# The shell way: start a run in the background, wait for one of its stages, go on only if it is
# good. Every way in which it can end differently has an exit code of its own.
#
#     sh scripts/pipeline.sh [SECONDS]        # wait at most so long (default 600)
#
# PROCSUP: the command to use (default: procsup).

set -u
cd "$(dirname "$0")/.." || exit 2
procsup=${PROCSUP:-procsup}
limit=${1:-600}
results=configs/out/stdlib-survey

# Returns when the run holds its lock; what it prints names this very run, from anywhere.
id=$($procsup run configs/stdlib-survey.toml --detach) || exit
echo "started $id"

$procsup wait "$id" --stage measure --timeout "$limit"
code=$?
case $code in
    0)   echo "measure: every unit succeeded" ;;
    1)   echo "measure: finished, but some unit did not succeed; see: procsup logs \"$id\" --failed" ;;
    3)   echo "measure: not finished, and no supervisor works on it (stopped, interrupted, or the" \
              "supervisor died); to go on: procsup run configs/stdlib-survey.toml" ;;
    124) echo "measure: not finished after $limit s; it goes on. To end it: procsup stop \"$id\"" ;;
    *)   echo "measure: procsup wait said $code" ;;
esac
[ "$code" -eq 0 ] || exit "$code"

# Downstream: only now, and only on what the stage's manifest vouches for (one unit a line).
directory=${id%@*}
vouched=$(grep -c '"verdict":"succeeded"' "$directory/stages/measure.json")
echo "downstream: $vouched measurements to work on"

# The run has one more stage; its end is another wait.
$procsup wait "$id" --timeout "$limit" || exit
echo "table: $results/report.csv"
