"""Studies: a model for each training size, an audit of each model, and what follows from them together."""

__all__ = ["RECIPES", "StudyConfig", "StudyResult", "plan", "study", "study_schema"]

from spurion.studies.config import StudyConfig
from spurion.studies.kinds import plan, study
from spurion.studies.recipes import RECIPES
from spurion.studies.results import StudyResult, study_schema
