"""Recording, planning and printing: the same network as a straight line of NumPy calls."""
