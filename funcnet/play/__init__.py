"""A page that shows each step of a training: the values of every unit, the gradient of every weight, the program."""
