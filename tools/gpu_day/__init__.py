"""Everything that wants a GPU, in one unattended run: ``make gpu``."""
