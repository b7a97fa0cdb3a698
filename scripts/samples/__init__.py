"""Workers for paired reads: a bioinformatician's four steps, as small as they can be.

``samples.simulate`` makes the data; ``samples.trim``, ``samples.align``, ``samples.quality`` and
``samples.call`` are one step each. They need nothing but the standard library and know nothing of
procsup: put ``fastp``, ``bwa``, ``samtools`` in their place and the run file stays the same.
"""
