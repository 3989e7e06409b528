"""The programs by which the library is tested and measured: run from the folder above, ``python -m tools.<name>``."""
