"""Where the edges meet the loop: the library, waiting, asking."""
