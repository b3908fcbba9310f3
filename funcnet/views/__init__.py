"""What people look at: tables of layers, curves of training."""
