"""Tables and pictures of networks, params, training runs and decisions."""
