class Fault(RuntimeError):
    """A kernel did what a GPU would fault on, what its results may not rest on, or used PTX that is not implemented."""
