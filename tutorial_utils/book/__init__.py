"""What makes the book, and nobody needs for compressing: notebooks, claims, pages, exercises.

A notebook imports five functions from here: `claim`, `say`, `keep`, `diagram` and `failing`. The
commands import the modules.
"""

from tutorial_utils.book.claims import claim
from tutorial_utils.book.drawing import diagram
from tutorial_utils.book.failing import failing
from tutorial_utils.book.output import keep, say
