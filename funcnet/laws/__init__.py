"""The laws that layers, losses and optimizers obey, as functions that anybody can run on their own.

A hand-written vjp is wrong until these pass. The central one is the projection check: for random
directions u of an input and a random cotangent v of the output, the slope of ``<v, f(x + t u)>`` at
t = 0, taken by central differences, must equal ``<vjp(v), u>``. Two forward passes tell, however many
parameters there are.
"""
