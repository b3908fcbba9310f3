"""The laws of layers, losses and optimizers, as functions to run on your own classes.

A hand-written vjp is wrong until these pass. The central one is the projection check: for random
directions u of an input and a random cotangent v of the output, the slope of ``<v, f(x + t u)>`` at
t = 0, taken by central differences, must equal ``<vjp(v), u>``. This takes two forward passes,
whatever the number of parameters.
"""
