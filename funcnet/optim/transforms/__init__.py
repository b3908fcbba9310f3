"""Transforms around optimizers: clipping, decay, averages, masks, plateaus, chains."""
