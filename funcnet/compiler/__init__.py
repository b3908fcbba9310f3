"""The compiler: it records a pure function and runs it as a straight line of NumPy calls."""
