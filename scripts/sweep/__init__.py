"""Workers for a sweep: ``sweep.train`` tries one configuration, ``sweep.table`` compares them.

They need nothing but the standard library: put a training with NumPy or PyTorch in the place of
`sweep.train` and the run file stays the same.
"""
