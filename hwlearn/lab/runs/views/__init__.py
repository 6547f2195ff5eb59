"""Views of a run as data: labelled arrays, tables, exported files, provenance.

numpy is enough for all but xarray and pandas objects, NetCDF and Parquet files, which need the extra ``data``.
"""
