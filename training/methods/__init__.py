"""The methods that are compared, by name, in the tables' order."""

from .method import AlignedPair, Method, MethodError, aligned_pair
from .ours import own_methods

METHODS: dict[str, Method] = {method.name: method for method in own_methods()}

__all__ = ["METHODS", "AlignedPair", "Method", "MethodError", "aligned_pair", "own_methods"]
