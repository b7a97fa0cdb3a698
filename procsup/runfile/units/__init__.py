"""One maker of units, from recipes or from what a program gives."""
