"""Workers for a nightly job: ``nightly.load`` checks what one source delivered, ``nightly.report``
puts the day together, ``nightly.deliver`` plays the sources. They need nothing but the standard
library.
"""
