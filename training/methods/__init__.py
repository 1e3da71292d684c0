"""The methods that are compared, by name, in the tables' order."""

from .convex_adam import ConvexAdam
from .elastix import Elastix
from .free_form import FREE_FORM
from .method import AlignedPair, Method, MethodError, aligned_pair
from .ours import own_methods
from .syn import Syn

METHODS: dict[str, Method] = {
    method.name: method for method in (Syn(), Elastix(), ConvexAdam(), *FREE_FORM, *own_methods())
}

__all__ = ["METHODS", "AlignedPair", "Method", "MethodError", "aligned_pair", "own_methods"]
