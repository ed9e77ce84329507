"""Where files live: folders of this machine, and object stores. Only `transforms/storage.py` knows these modules."""
