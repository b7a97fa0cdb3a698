"""A unit that imports what such units import: ``python imports.py FILE NUMBER``."""

import sys

import numpy
import pandas
from tally import done

if __name__ == "__main__":
    frame = pandas.DataFrame({"x": numpy.arange(10)})
    assert frame["x"].sum() == 45
    done(sys.argv[1], int(sys.argv[2]))
