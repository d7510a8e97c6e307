"""What makes the book, and nobody needs for compressing: notebooks, claims, pages, exercises.

A notebook imports three functions from here: `claim`, `say` and `keep`. The commands import the
modules.
"""

from tutorial_utils.book.claims import claim
from tutorial_utils.book.output import keep, say
