"""Review of a registration by landmarks: pairs that people place, their errors, observers, and where to begin.

:mod:`pairs`, :mod:`table` and :mod:`observers` work without torch, since Slicer's own process handles them;
:mod:`candidates` and :mod:`proposal` compute in the worker.
"""
