"""A process of its own that computes for a face that may not wait, such as Slicer's.

The face's side (:mod:`client`, :mod:`process`, :mod:`messages`, :mod:`exchange`) works without torch; the process' own
side (:mod:`server`, :mod:`tasks`, :mod:`devices`) loads it once and is kept. Requests and answers are raw arrays in a
folder; what happens is told by JSON lines. The process ends when its standard input does.
"""
