"""What each model of source-measure unit can do: one table for each family, with the source of every figure.

A model whose figures are not confirmed by a manual, a data sheet or two independent public sources is in the
``REFUSED`` table of its family, with the reason.
"""
