"""Workers that survey a Python standard library: the real work of the demo.

``python -m survey.names`` lists what there is, ``python -m survey`` measures one module or
package, ``python -m survey.merge`` makes one table of all measurements. They need nothing but
the standard library and know nothing of procsup: any program may be a unit.
"""
