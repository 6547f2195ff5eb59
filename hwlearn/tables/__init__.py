"""Tables in text files (CSV, TSV): one reader, which states the dialect that it used."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.tables.dialect import Dialect as Dialect
    from hwlearn.tables.dialect import Stated as Stated
    from hwlearn.tables.table_file import Columns as Columns
    from hwlearn.tables.table_file import TableFile as TableFile
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
