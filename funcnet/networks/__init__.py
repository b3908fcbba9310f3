"""What one does with a whole network: its cost, its profile, surgery, comparison, decoding, blocks."""
