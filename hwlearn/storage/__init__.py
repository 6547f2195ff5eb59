"""Files that survive a crash: atomic writes, locks, TOML text."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.storage.atomic_file import write_atomically as write_atomically
    from hwlearn.storage.lock import FolderLock as FolderLock
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
