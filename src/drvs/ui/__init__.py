"""How drvs shows things in a terminal: tables, pictures, progress, one set of colours.

What is slow to import (rich) is imported by the functions that draw with it; units and pictures are plain text.
"""
