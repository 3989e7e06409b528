"""Programs that test and measure the library. Run them from the folder above: ``python -m tools.<name>``."""
