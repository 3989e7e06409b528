"""A compact anchor-free detector: the parts of ``train_detector.py``."""
