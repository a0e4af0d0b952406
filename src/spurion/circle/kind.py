"""The circle as a kind of study; see `spurion.studies.kinds.StudyKind`."""

__all__ = ["page", "plan", "study", "tell_plan", "tell_result"]

from spurion.circle.page.page import circle_page as page
from spurion.circle.study import circle_plan as plan
from spurion.circle.study import circle_study as study
from spurion.circle.verb import tell_plan, tell_result
