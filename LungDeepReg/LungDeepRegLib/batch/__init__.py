"""Many cases at once: a manifest of pairs, each registered into a folder of its own, resumable, in one table.

What registers a case comes from outside, as a function; here is what happens around it.
"""
