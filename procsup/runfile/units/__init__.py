"""Makes units, from recipes or from a program's plan."""
