"""What the operators accept, and the errors for everything else: a file for each shape.

The compiled operators make the same checks in C++. These serve the pure-PyTorch path, and arguments whose type keeps
them from reaching C++. Every message reads ``<argument>: got <x>, wants <y>``.
"""
