"""The run-time type checker of the tests: beartype, with int accepted where float is asked.

Every function of the package is checked, but for those that are made inside of others, which would be wrapped
anew at every call. The names of axes are compared within one call: a function whose annotations name none
needs no context for them, and most of the time would go into making it.
"""

__all__ = ["check_imports", "checked"]

import ast
import dataclasses
import functools
import importlib.machinery
import importlib.util
import inspect
import sys
from typing import Any, get_args

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, jaxtyped

PACKAGE = "spurion"
_typed = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(target):
    """Check the arguments and the answer of a function, or the fields of a dataclass, at every call."""
    if inspect.isclass(target):
        if dataclasses.is_dataclass(target) and "__init__" in vars(target):
            target.__init__ = checked(target.__init__)
        return target
    hints = target.__annotations__
    hints |= {name: Any for name, hint in hints.items() if _is_of_type_checkers(hint, target)}
    typed = _typed(target)
    if not any(map(_has_axes, hints.values())):
        return typed
    if inspect.isgeneratorfunction(target):  # beartype looks at what it got at its first value, too late
        return jaxtyped(typechecker=_typed)(target)

    @functools.wraps(target)
    def in_context(*arguments, **named):
        with jaxtyped("context"):
            return typed(*arguments, **named)

    return in_context


def _is_of_type_checkers(hint, function):
    """Whether a hint in quotes names what is not there, as it is imported for type checkers alone."""
    try:
        return isinstance(hint, str) and eval(hint, function.__globals__) is None
    except NameError:
        return True


def _has_axes(hint):
    array = isinstance(hint, type) and issubclass(hint, AbstractArray)
    return array or any(map(_has_axes, get_args(hint)))


class _Checks(ast.NodeTransformer):
    """Puts `checked` around what a module defines: innermost around functions, outermost around classes."""

    def visit_Module(self, node):
        self.generic_visit(node)
        first = ast.parse("from typechecking import checked as __checked__").body
        docstring = 1 if ast.get_docstring(node, clean=False) is not None else 0
        node.body[docstring:docstring] = first
        return node

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        node.decorator_list.insert(0, ast.Name("__checked__", ast.Load()))
        return node

    def visit_FunctionDef(self, node):
        node.decorator_list.append(ast.Name("__checked__", ast.Load()))
        return node


class _Loader(importlib.machinery.SourceFileLoader):
    def path_stats(self, path):
        """There are none, so that no compiled file is read or written."""
        raise OSError(path)

    def source_to_code(self, data, path, *, _optimize=-1):
        """Compile a module with its checks."""
        tree = ast.parse(importlib.util.decode_source(data), path)
        tree = ast.fix_missing_locations(_Checks().visit(tree))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)


class _Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        """Find a module of the package as usual, and have it loaded with its checks."""
        if fullname.partition(".")[0] != PACKAGE:
            return None
        found = super().find_spec(fullname, path, target)
        if found is not None and type(found.loader) is importlib.machinery.SourceFileLoader:
            found.loader = _Loader(found.loader.name, found.loader.path)
        return found


def check_imports():
    """Check all modules of the package that are imported from now on."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
