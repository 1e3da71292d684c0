"""Displays of a registration by one click.

A preset changes view nodes only (layout, slice and composite nodes, cameras), and shows temporary nodes that share the
voxels of the inputs and outputs. So the look of the volumes themselves never changes, and :class:`stage.Stage` can put
everything back.
"""
