"""The package is checked at run time, by its own annotations, wherever tests run."""

from typechecking import check_imports

check_imports()
