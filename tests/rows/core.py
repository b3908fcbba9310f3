"""The layers and combinators that most networks are made of, and layers made of bare functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcnet as fn
from funcnet import initializers
from tests.row import Row


def gain_init(key: fn.Key, in_shape: Any, dtype: Any = np.float32) -> Any:
    return {"gain": np.asarray(1.5 + key.uniform(()), dtype)}, {}


def gain_apply(params: Any, state: Any, x: Any, ctx: fn.Context) -> Any:
    return params["gain"] * x, state, x


def gain_vjp(params: Any, residuals: Any, dy: Any) -> Any:
    return {"gain": np.sum(residuals * dy)}, params["gain"] * dy


def same_shape(in_shape: Any) -> Any:
    return in_shape


GAIN = fn.layer(gain_init, gain_apply, gain_vjp, same_shape)
"""One number for all entries: a leaf of shape ()"""
PAIR = fn.serial(fn.Dense(3), fn.BatchNorm())
NESTED = fn.layer(*PAIR.triple, PAIR.out_shape)
"""Nested params and state, under the same names in both"""

NOISY = fn.serial(fn.Dense(4), fn.BatchNorm(), fn.Tanh(), fn.Dropout(0.4))

ROWS: dict[str, Row] = {
    "dense": Row(fn.Dense(3), (4,)),
    "dense_square": Row(fn.Dense(3), (3,)),
    "dense_one_to_one": Row(fn.Dense(1), (1,)),
    "dense_time": Row(fn.Dense(3), (5, 2)),
    "dense_image": Row(fn.Dense(2), (2, 3, 4)),
    "dense_no_bias": Row(fn.Dense(3, use_bias=False), (4,)),
    "dense_initializers": Row(
        fn.Dense(3, weight_init=initializers.HeNormal(), bias_init=initializers.Normal(0.5)), (4,)
    ),
    "identity": Row(fn.Identity(), (4,)),
    "identity_scalar": Row(fn.Identity(), ()),
    "identity_tuple": Row(fn.Identity(), ((4,), (2, 3))),
    "identity_dict": Row(fn.Identity(), {"a": (4,), "b": ((2,), ())}),
    "relu": Row(fn.Relu(), (4,)),
    "relu_scalar": Row(fn.Relu(), ()),
    "relu_image": Row(fn.Relu(), (2, 3, 2)),
    "leaky_relu": Row(fn.LeakyRelu(), (4,)),
    "leaky_relu_slope": Row(fn.LeakyRelu(slope=0.3), (2, 3)),
    "leaky_relu_flat": Row(fn.LeakyRelu(slope=0.0), (4,)),
    "sigmoid": Row(fn.Sigmoid(), (4,)),
    "sigmoid_image": Row(fn.Sigmoid(), (2, 3, 2)),
    "tanh": Row(fn.Tanh(), (4,)),
    "tanh_scalar": Row(fn.Tanh(), ()),
    "gelu": Row(fn.Gelu(), (4,)),
    "gelu_approximate": Row(fn.Gelu(approximate=True), (2, 3)),
    "softmax": Row(fn.Softmax(), (5,)),
    "softmax_time": Row(fn.Softmax(), (3, 2)),
    "log_softmax": Row(fn.LogSoftmax(), (5,)),
    "log_softmax_time": Row(fn.LogSoftmax(), (3, 2)),
    "flatten": Row(fn.Flatten(), (2, 3, 4)),
    "flatten_vector": Row(fn.Flatten(), (5,)),
    "flatten_scalar": Row(fn.Flatten(), ()),
    "reshape": Row(fn.Reshape((3, 2)), (6,)),
    "reshape_rest": Row(fn.Reshape((2, -1, 2)), (3, 4)),
    "reshape_to_scalar": Row(fn.Reshape(()), (1,)),
    "dropout": Row(fn.Dropout(0.5), (6,), coupled=True),
    "dropout_rare": Row(fn.Dropout(0.1), (4, 5), coupled=True),
    "dropout_never": Row(fn.Dropout(0.0), (6,)),
    "batch_norm": Row(fn.BatchNorm(), (3,), coupled=True),
    "batch_norm_time": Row(fn.BatchNorm(momentum=0.5, eps=0.1), (4, 3), coupled=True),
    "batch_norm_image": Row(fn.BatchNorm(0.0, 1e-3), (2, 3, 2), coupled=True),
    "batch_norm_no_scale": Row(fn.BatchNorm(use_scale=False), (3,), coupled=True),
    "batch_norm_no_bias": Row(fn.BatchNorm(momentum=1.0, use_bias=False), (3,), coupled=True),
    "batch_norm_bare": Row(fn.BatchNorm(use_scale=False, use_bias=False), (2, 3), coupled=True),
    "batch_norm_initializers": Row(
        fn.BatchNorm(scale_init=initializers.Uniform(0.5, 2.0), bias_init=initializers.Constant(-1.0)),
        (3,),
        coupled=True,
    ),
    "sum": Row(fn.Sum(), ((3,), (3,))),
    "sum_of_one": Row(fn.Sum(), ((3,),)),
    "sum_of_three": Row(fn.Sum(), ((2, 3), (2, 3), (2, 3))),
    "sum_scalars": Row(fn.Sum(), ((), ())),
    "concat": Row(fn.Concat(), ((3,), (1,), (2,))),
    "concat_of_one": Row(fn.Concat(), ((3,),)),
    "concat_time": Row(fn.Concat(axis=-2), ((2, 3), (4, 3))),
    "concat_rows_of_images": Row(fn.Concat(axis=-3), ((1, 2, 3), (2, 2, 3))),
    "serial_empty": Row(fn.serial(), (4,)),
    "serial": Row(fn.serial(fn.Dense(5), fn.Relu(), fn.Dense(2)), (4,)),
    "serial_named": Row(fn.serial(("stem", fn.Dense(5)), fn.Tanh(), head=fn.Dense(2, use_bias=False)), (4,)),
    "serial_nested": Row(fn.serial(fn.serial(fn.Dense(3), fn.Sigmoid()), body=fn.serial(fn.Dense(2))), (2, 4)),
    "serial_state_and_noise": Row(fn.serial(fn.Flatten(), NOISY, fn.Dense(2)), (2, 3), coupled=True),
    "serial_state": Row(fn.serial(fn.Dense(3), fn.BatchNorm(momentum=0.8), fn.Relu()), (4,), coupled=True),
    "serial_on_tuple": Row(fn.serial(fn.Identity(), fn.Concat(), fn.Dense(2)), ((2,), (3,))),
    "residual": Row(fn.Residual(fn.Dense(4)), (4,)),
    "residual_identity": Row(fn.Residual(fn.Identity()), (4,)),
    "residual_serial": Row(fn.Residual(fn.serial(fn.Dense(5), fn.Tanh(), fn.Dense(4))), (2, 4)),
    "residual_projection": Row(fn.Residual(fn.serial(fn.Dense(3), fn.Tanh()), projection=fn.Dense(3)), (4,)),
    "residual_plain_layer_projection": Row(fn.Residual(fn.Dense(3), fn.Dense(3, use_bias=False)), (4,)),
    "residual_of_residual": Row(fn.Residual(fn.Residual(fn.serial(fn.Dense(4), fn.Sigmoid()))), (4,)),
    "residual_tuple": Row(fn.Residual(fn.parallel(fn.Dense(3), fn.Tanh())), ((3,), (2,))),
    "residual_state_and_noise": Row(fn.Residual(NOISY, projection=fn.Tanh()), (4,), coupled=True),
    "residual_state_in_both": Row(
        fn.Residual(fn.BatchNorm(), projection=fn.serial(fn.Dense(3), fn.BatchNorm(0.5))), (3,), coupled=True
    ),
    "branch": Row(fn.branch(fn.Dense(3), fn.Dense(2)), (4,)),
    "branch_identity_first": Row(fn.branch(fn.Identity(), fn.Dense(4), fn.Identity()), (4,)),
    "branch_named": Row(fn.branch(left=fn.Tanh(), right=fn.serial(fn.Dense(3), fn.Relu())), (2, 4)),
    "branch_nested": Row(fn.branch(fn.branch(fn.Tanh(), fn.Identity()), fn.Dense(2)), (4,)),
    "branch_on_tuple": Row(fn.branch(fn.Sum(), fn.Concat(), fn.Identity()), ((3,), (3,))),
    "branch_on_dict": Row(
        fn.branch(fn.parallel(a=fn.Dense(2), b=fn.Tanh()), fn.Identity()), {"a": (3,), "b": (2,)}
    ),
    "branch_state_and_noise": Row(fn.branch(NOISY, fn.Dropout(0.5), fn.BatchNorm()), (4,), coupled=True),
    "branch_joined": Row(fn.serial(fn.branch(fn.Dense(3), fn.Dense(3)), fn.Sum(), fn.Tanh()), (4,)),
    "parallel": Row(fn.parallel(fn.Dense(3), fn.Tanh()), ((4,), (2, 3))),
    "parallel_dict": Row(fn.parallel(image=fn.Flatten(), text=fn.Dense(2)), {"text": (3,), "image": (2, 2)}),
    "parallel_nested": Row(
        fn.parallel(fn.parallel(fn.Dense(2), fn.Identity()), fn.Concat()), (((4,), (3,)), ((2,), (1,)))
    ),
    "parallel_state_and_noise": Row(fn.parallel(NOISY, fn.Dropout(0.5)), ((3,), (5,)), coupled=True),
    "graph_chain": Row(
        fn.Graph(inputs="x", nodes={"a": (fn.Dense(3), "x"), "b": (fn.Tanh(), "a")}, outputs="b"), (4,)
    ),
    "graph_diamond": Row(
        fn.Graph(
            inputs="x",
            nodes={
                "z_first": (fn.Dense(3), "x"),
                "left": (fn.Tanh(), "z_first"),
                "right": (fn.Dense(3), "z_first"),
                "join": (fn.Sum(), ("left", "right", "z_first")),
            },
            outputs="join",
        ),
        (4,),
    ),
    "graph_same_source_twice": Row(
        fn.Graph(inputs="x", nodes={"twice": (fn.Concat(), ("x", "x"))}, outputs=("twice", "x")), (3,)
    ),
    "graph_several_inputs": Row(
        fn.Graph(
            inputs=("image", "text"),
            nodes={
                "flat": (fn.Flatten(), "image"),
                "words": (fn.Dense(4), "text"),
                "join": (fn.Concat(), ("flat", "words")),
                "head": (fn.Dense(2), "join"),
            },
            outputs=("head", "words"),
        ),
        ((2, 2), (3,)),
    ),
    "graph_dict_input": Row(
        fn.Graph(
            inputs=("a", "b"),
            nodes={"sum": (fn.Sum(), ("a", "b")), "out": (fn.Dense(2), "sum")},
            outputs=("out", "b"),
        ),
        {"b": (3,), "a": (3,)},
    ),
    "graph_dict_of_one": Row(fn.Graph(inputs="x", nodes={"y": (fn.Dense(2), "x")}, outputs="y"), {"x": (3,)}),
    "graph_input_is_a_tuple": Row(
        fn.Graph(inputs="pair", nodes={"sum": (fn.Sum(), "pair")}, outputs=("sum", "pair")), ((3,), (3,))
    ),
    "graph_of_combinators": Row(
        fn.Graph(
            inputs="x",
            nodes={
                "body": (fn.Residual(fn.serial(fn.Dense(4), fn.BatchNorm())), "x"),
                "split": (fn.branch(fn.Dropout(0.5), fn.Tanh()), "body"),
                "join": (fn.Concat(), "split"),
            },
            outputs=("join", "x"),
        ),
        (4,),
        coupled=True,
    ),
    "function": Row(GAIN, (2, 3)),
    "function_inside": Row(fn.serial(fn.Dense(3), GAIN, fn.Residual(GAIN)), (4,)),
    "function_nested": Row(NESTED, (4,), coupled=True),
}  # fmt: skip
