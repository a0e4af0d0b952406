"""The grid as a kind of study; see `spurion.studies.kinds.StudyKind`."""

__all__ = ["of_images", "page", "plan", "study", "tell_plan", "tell_result"]

from spurion.grid.page.page import grid_page as page
from spurion.grid.study import grid_plan as plan
from spurion.grid.study import grid_study as study
from spurion.grid.verb import tell_plan, tell_result

of_images = True
