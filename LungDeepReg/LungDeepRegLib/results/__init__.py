"""What a registration found, or any transformation does: figures, files and a picture.

:func:`evaluation.evaluate` judges a transformation; :func:`folder.write_result` makes the folder of results of the
command line. :mod:`staging` and :mod:`summary` work where torch isn't loaded, so nothing is imported here.
"""
