"""The study: the claims about training networks, measured on simulated ones with intervals."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.study.catalogue import STUDIES as STUDIES
    from hwlearn.study.running import run_study as run_study
    from hwlearn.study.study import StudyResult as StudyResult
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
