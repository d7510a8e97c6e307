"""Files that outlive a run: whole or not there, and what was written or refused."""

from tutorial_utils.storage.cache import cache_dir, new_file, read_cached, write_cached
from tutorial_utils.storage.files import replacing
from tutorial_utils.storage.weights import read_weights, write_weights
