"""Training: the pure step, the loop around it, experiments and their run folders."""
