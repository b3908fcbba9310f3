"""What people write by mistake, in Python, in JSON and on the command line, and what is said; or it simply works."""

import json
import logging
import os

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, metrics, optim  # noqa: F401  # the rows name them
from funcnet.hints import ARGUMENTS, ATTRIBUTES, ELSEWHERE
from tests.cli import SMALL, funcnet

NET = fn.serial(fn.Dense(4), fn.Dropout(0.5), fn.Dense(3))
P, S = NET.init(fn.Key(0), (3,))
X, Y = fn.Key(1).normal((12, 3), np.float32), np.arange(12) % 3
ONE_HOT = np.eye(3)[Y]
IMAGES = fn.Key(3).normal((12, 8, 8, 3), np.float32)
CONV = fn.serial(fn.Conv2D(4, 3), fn.Flatten(), fn.Dense(3))
SOFTMAX, MSE, ADAM = losses.SoftmaxCrossEntropy(), losses.MeanSquaredError(), optim.Adam()
SQUARE = fn.Key(2).normal((5, 5))
TS = fn.train_state(NET, ADAM, fn.Key(0), (3,))
STEP = fn.train_step(NET, SOFTMAX, ADAM)


def fit(x=X, y=Y, net=NET, **changes):
    """``fn.fit`` of a step, with some arguments changed."""
    return fn.fit(net, x, y, **{"loss": SOFTMAX, "optimizer": ADAM, "key": 0, "steps": 1, **changes})


class Tensor:
    """Like a tensor of another library that needs gradients."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


class Sparse:
    """Like a sparse matrix, of which NumPy makes an object."""

    def toarray(self):
        return X


class Frame:
    """Like a data frame, with columns of numbers."""

    columns = ("a", "b", "c")

    def __len__(self):
        return len(X)

    def __array__(self, dtype=None, copy=None):
        return X


TO_INIT = "the shape of the input is given to init"
DONE = fit()

PYTHON = [
    # ----- calls of other libraries' methods
    ("NET.fit(X, Y)", "'Serial' object has no attribute 'fit'; train with fn.fit(net, (x, y), loss="),
    ("NET.compile(optimizer='adam')", "'Serial' object has no attribute 'compile'; train with fn.fit("),
    ("NET.predict(X)", "'Serial' object has no attribute 'predict'; write fn.predict(net, params, state, x)"),
    ("NET.predict_proba(X)", "'Serial' object has no attribute 'predict_proba'; write fn.predict_proba("),
    ("NET.score(X, Y)", "'Serial' object has no attribute 'score'; write fn.evaluate(net, loss, params, state, (x, y)"),
    ("NET.summary()", "'Serial' object has no attribute 'summary'; write fn.summary(net, in_shape)"),
    ("NET.add(fn.Relu())", "'Serial' object has no attribute 'add'; networks never change: write net >> layer"),
    ("NET.save('net.h5')", "'Serial' object has no attribute 'save'; write fn.save(path, net, params, state)"),
    ("NET.load_weights('w')", "'Serial' object has no attribute 'load_weights'; write net, params, state = fn.load("),
    ("NET.parameters()", "'Serial' object has no attribute 'parameters'; a network holds no weights: params, state ="),
    ("NET.get_weights()", "'Serial' object has no attribute 'get_weights'; a network holds no weights"),
    ("NET.state_dict()", "'Serial' object has no attribute 'state_dict'; write fn.save("),
    ("NET.eval()", "'Serial' object has no attribute 'eval'; how it runs is the context: fn.Context(train=True,"),
    ("NET.zero_grad()", "'Serial' object has no attribute 'zero_grad'; write net.vjp(params, residuals, dy), or fn."),
    ("NET.to('cuda')", "'Serial' object has no attribute 'to'; funcnet computes in NumPy, on the CPU"),
    ("NET.forward(X)", "'Serial' object has no attribute 'forward'; write fn.predict("),
    ("NET(X)", "Serial is not called; write fn.predict(net, params, state, x)"),
    ("fn.Dense(3)(X)", "Dense is not called; write fn.predict(net, params, state, x)"),
    ("NET[0]", "Serial is not indexed; its layers are net.children, a dict by name"),
    ("list(NET)", "Serial is not indexed; its layers are net.children, a dict by name"),
    ("SOFTMAX(X, Y)", "SoftmaxCrossEntropy is not called; write value, residuals = loss.apply(prediction, target)"),
    ("SOFTMAX.backward()", "'SoftmaxCrossEntropy' object has no attribute 'backward'; write dprediction = loss.vjp("),
    ("ADAM.step()", "'Adam' object has no attribute 'step'; write updates, opt_state = opt.update(grads, opt_state,"),
    ("ADAM.zero_grad()", "'Adam' object has no attribute 'zero_grad'; gradients are values, and nothing is summed"),
    ("ADAM.apply_gradients([])", "'Adam' object has no attribute 'apply_gradients'; write updates, opt_state ="),
    ("ADAM.lr", "'Adam' object has no attribute 'lr'; it is learning_rate"),
    ("DONE.params", "'Fit' object has no attribute 'params'; it is of the train state: done.train_state.params"),
    ("DONE.coefs_", "'Fit' object has no attribute 'coefs_'; it is of the train state: done.train_state.params"),
    ("DONE.predict(X)", "'Fit' object has no attribute 'predict'; write fn.predict(net, done.train_state.params, done"),
    ("DONE.score(X, Y)", "'Fit' object has no attribute 'score'; write fn.evaluate(net, loss, params, state, (x, y)"),
    ("DONE.history['loss']", "this is a list of rows; a column of it is [row['loss'] for row in rows]"),
    ("fn.Key(0).split()", "'Key' object has no attribute 'split'; keys are folded, never split: key.fold("),
    ("fn.Key(0).fold_in(1)", "'Key' object has no attribute 'fold_in'; it is fold"),
    # ----- names of other libraries
    ("fn.Sequential", "module 'funcnet' has no attribute 'Sequential', did you mean 'serial'"),
    ("fn.Linear(3, 4)", "module 'funcnet' has no attribute 'Linear', did you mean 'Dense'?"),
    ("fn.nn.Linear", "module 'funcnet' has no attribute 'nn'; a network is fn.serial("),
    ("fn.Model", "module 'funcnet' has no attribute 'Model'; a network is fn.serial("),
    ("fn.Input((3,))", "module 'funcnet' has no attribute 'Input'; the shape of the input is given to init"),
    ("fn.layers.Dense(3)", "module 'funcnet.layers' has no attribute 'Dense'; layers are at the top: fn.Dense"),
    ("fn.Activation('relu')", "module 'funcnet' has no attribute 'Activation'; write the layer itself, such as fn.R"),
    ("fn.ReLU()", "module 'funcnet' has no attribute 'ReLU', did you mean 'Relu'?"),
    ("fn.Lambda", "module 'funcnet' has no attribute 'Lambda'; write a layer of functions: fn.layer(init,"),
    ("fn.Add()", "module 'funcnet' has no attribute 'Add'; inputs are added by fn.Sum()"),
    ("fn.Concatenate()", "module 'funcnet' has no attribute 'Concatenate', did you mean 'Concat'?"),
    ("fn.BatchNormalization()", "module 'funcnet' has no attribute 'BatchNormalization', did you mean 'BatchNorm'?"),
    ("fn.MaxPooling2D(2)", "module 'funcnet' has no attribute 'MaxPooling2D', did you mean 'MaxPool2D'?"),
    ("fn.TimeDistributed", "module 'funcnet' has no attribute 'TimeDistributed'; write fn.OnSequence(layer)"),
    ("fn.Masking(0.0)", "module 'funcnet' has no attribute 'Masking'; a padded sequence is the pair (x, mask)"),
    ("fn.SeparableConv2D", "module 'funcnet' has no attribute 'SeparableConv2D'; write fn.Conv2D with as many groups"),
    ("fn.no_grad()", "module 'funcnet' has no attribute 'no_grad'; nothing is recorded: fn.predict("),
    ("fn.tensor([1.0])", "module 'funcnet' has no attribute 'tensor'; arrays are NumPy's"),
    ("fn.manual_seed(0)", "module 'funcnet' has no attribute 'manual_seed'; randomness is a value: fn.Key(0)"),
    ("fn.DataLoader", "module 'funcnet' has no attribute 'DataLoader'; data are arrays: fn.fit(net, (x, y)"),
    ("fn.grad(NET)", "module 'funcnet' has no attribute 'grad'; gradients are written by hand: layer.vjp, or fn.value"),
    ("fn.jit", "module 'funcnet' has no attribute 'jit'; it is fn.compile"),
    ("fn.PRNGKey(0)", "module 'funcnet' has no attribute 'PRNGKey'; randomness is a value: fn.Key(0)"),
    ("fn.tree_map", "module 'funcnet' has no attribute 'tree_map'; it is fn.tree.map"),
    ("fn.train_test_split", "module 'funcnet' has no attribute 'train_test_split'; an experiment in JSON scales,"),
    ("fn.MLPClassifier()", "module 'funcnet' has no attribute 'MLPClassifier'; write fn.fit(fn.serial("),
    ("fn.Adam()", "module 'funcnet' has no attribute 'Adam', did you mean fn.optim."),
    ("fn.ReduceLROnPlateau", "module 'funcnet' has no attribute 'ReduceLROnPlateau', did you mean fn.optim.ReduceOn"),
    ("losses.MSE", "module 'funcnet.losses' has no attribute 'MSE', did you mean 'MeanSquaredError'?"),
    ("losses.CrossEntropyLoss", "module 'funcnet.losses' has no attribute 'CrossEntropyLoss', did you mean 'SoftmaxC"),
    ("losses.KLDivLoss", "module 'funcnet.losses' has no attribute 'KLDivLoss'; a target of probabilities goes into"),
    ("optim.StepLR", "module 'funcnet.optim' has no attribute 'StepLR', did you mean 'StepDecay'?"),
    ("optim.CosineAnnealingLR", "module 'funcnet.optim' has no attribute 'CosineAnnealingLR', did you mean 'Cosine'?"),
    ("optim.LBFGS", "module 'funcnet.optim' has no attribute 'LBFGS'; it is fn.minimize(net, (x, y), …)"),
    # ----- fields of layers, losses and optimizers
    ("fn.Dense(3, activation='relu')", "Dense has no argument 'activation'; it is a separate layer: fn.serial("),
    ("fn.Dense(3, 'relu')", 'Dense.use_bias: expected true or false, got "relu"; the order is Dense(units, use_bias,'),
    (
        "fn.Dense(10, 5)",
        "Dense.use_bias: expected true or false, got 5; the order is Dense(units, use_bias, weight_init",
    ),
    ("fn.Dense(in_features=10, out_features=5)", f"Dense has no argument 'in_features'; {TO_INIT}"),
    ("fn.Dense(out_features=5)", "Dense has no argument 'out_features', did you mean 'units'?"),
    ("fn.Dense(3, input_shape=(4,))", f"Dense has no argument 'input_shape'; {TO_INIT}"),
    ("fn.Dense(3, bias=False)", "Dense has no argument 'bias', did you mean 'use_bias'?"),
    ("fn.Dense(3, kernel_initializer='he')", "Dense has no argument 'kernel_initializer', did you mean 'weight_init'?"),
    ("fn.Dense(3, kernel_regularizer='l2')", "Dense has no argument 'kernel_regularizer'; decay of weights is a field"),
    ("fn.Dense(3, weight_init='he_normal')", 'Dense.weight_init: expected an initializer, got "he_normal"; write fn.H'),
    ("fn.Dense(3, name='a')", "Dense has no argument 'name'; names are given where layers are joined: fn.serial(head="),
    ("fn.Dense(unit=3)", "Dense has no argument 'unit', did you mean 'units'?"),
    ("fn.Dense()", "Dense(units, use_bias, weight_init, bias_init): missing 1 required positional"),
    ("fn.Dense(10.0)", "Dense.units: expected an integer, got 10.0"),
    ("fn.Dense('10')", 'Dense.units: expected an integer, got "10"'),
    ("fn.Dense(0)", "Dense.units: must be positive, got 0"),
    ("fn.Relu(3)", "Relu(): takes 1 positional argument but 2 were given"),
    ("fn.Relu(inplace=True)", "Relu has no argument 'inplace'; nothing is changed in place here; leave it out"),
    ("fn.Softmax(dim=1)", "Softmax has no argument 'dim'; it is always the last axis"),
    ("fn.LeakyRelu(negative_slope=0.1)", "LeakyRelu has no argument 'negative_slope', did you mean 'slope'?"),
    ("fn.Dropout(p=0.5)", "Dropout has no argument 'p', did you mean 'rate'?"),
    ("fn.Dropout(50)", "Dropout.rate: must be at least 0 and below 1, got 50"),
    ("fn.Conv2D(32, (3, 3), activation='relu')", "Conv2D has no argument 'activation'; it is a separate layer"),
    ("fn.Conv2D(in_channels=3, out_channels=8, kernel_size=3)", f"Conv2D has no argument 'in_channels'; {TO_INIT}"),
    ("fn.Conv2D(8, 3, stride=2)", "Conv2D has no argument 'stride', did you mean 'strides'?"),
    ("fn.Conv2D(8, 3, data_format='channels_first')", "Conv2D has no argument 'data_format'; images are always (heig"),
    ("fn.LSTM(3, return_sequence=True)", "LSTM has no argument 'return_sequence', did you mean 'return_sequences'?"),
    ("fn.LSTM(hidden_size=3)", "LSTM has no argument 'hidden_size', did you mean 'units'?"),
    ("fn.LSTM(3, num_layers=2)", "LSTM has no argument 'num_layers'; write each layer"),
    ("fn.LSTM(3, batch_first=True)", "LSTM has no argument 'batch_first'; it is always so: sequences are (batch,"),
    ("fn.LSTM(3, dropout=0.1)", "LSTM has no argument 'dropout'; it is a separate layer"),
    ("fn.MultiHeadAttention(num_heads=3)", "MultiHeadAttention has no argument 'num_heads', did you mean 'heads'?"),
    ("fn.Embedding(num_embeddings=9, embedding_dim=3)", "Embedding has no argument 'num_embeddings', did you mean 's"),
    ("fn.BatchNorm(num_features=8)", f"BatchNorm has no argument 'num_features'; {TO_INIT}"),
    (
        "fn.LayerNorm(64)",
        "LayerNorm.eps: expected a small float, such as 1e-05, got the integer 64; it takes no number of features",
    ),
    ("fn.serial([fn.Dense(3), fn.Relu()])", "serial: expected layers one by one, got a list; write serial(*layers)"),
    ("fn.serial(fn.Dense(3), 'relu')", 'Serial.layers[1]: expected a layer, got "relu"; write fn.Relu()'),
    ("fn.serial(fn.Dense(3), fn.Relu)", "Serial.layers[1]: expected a layer, got <class 'funcnet.layers.activations.R"),
    ("fn.Dense(3) >> fn.Relu", "Serial.layers[1]: expected a layer, got <class 'funcnet.layers.activations.Relu'>; wr"),
    ("fn.serial(fn.Dense(3), np.tanh)", "Serial.layers[1]: expected a layer, got <ufunc 'tanh'>"),
    ("fn.serial(('a', fn.Relu()), ('a', fn.Relu()))", "Serial.layers[1].name: 'a' is the name of item 0 too; names"),
    ("SOFTMAX.__class__(from_logits=True)", "SoftmaxCrossEntropy has no argument 'from_logits'; each loss says"),
    ("SOFTMAX.__class__(reduction='sum')", "SoftmaxCrossEntropy has no argument 'reduction'; the name of a loss"),
    ("SOFTMAX.__class__(weight=[1, 2])", "SoftmaxCrossEntropy has no argument 'weight'; weights of classes are class"),
    ("optim.SGD()", "SGD(learning_rate, momentum, nesterov): missing 1 required positional"),
    ("optim.SGD(lr=0.1)", "SGD has no argument 'lr', did you mean 'learning_rate'?"),
    ("optim.Adam(betas=(0.9, 0.99))", "Adam has no argument 'betas'; it is b1 and b2"),
    ("optim.Adam(beta_1=0.9)", "Adam has no argument 'beta_1', did you mean 'b1'?"),
    ("optim.Adam(weight_decay=0.1)", "Adam has no argument 'weight_decay'; decay of weights is a field of AdamW"),
    ("optim.Adam(clipnorm=1.0)", "Adam has no argument 'clipnorm'; clipping is a transform before the rule"),
    ("optim.Adam(P)", "Adam.learning_rate: expected a number or a schedule, got {'dense_0'"),
    ("optim.Adam(-0.1)", "Adam.learning_rate: must be zero or more, got -0.1"),
    ("fn.EarlyStopping(restore_best_weights=True)", "EarlyStopping has no argument 'restore_best_weights', did you m"),
    ("fn.Context(training=True)", "Context has no argument 'training'; how a pass runs is train=True"),
    ("NET.apply(P, S, X, fn.Context(True, 0))", "expected a key, such as fn.Key(0), got 0"),
    # ----- arguments of fit
    (
        "fit(validation_data=(X, Y))",
        "fit has no argument 'validation_data'; it is validation=(x, y) (it has net, data,",
    ),
    ("fit(verbose=1)", "fit has no argument 'verbose'; it is progress=True"),
    ("fit(epoch=3)", "fit has no argument 'epoch', did you mean 'epochs'?"),
    ("fit(random_state=1)", "fit has no argument 'random_state'; it is key"),
    ("fit(max_iter=10)", "fit has no argument 'max_iter'; it is epochs or steps"),
    ("fit(hidden_layer_sizes=(10,))", "fit has no argument 'hidden_layer_sizes'; they are the layers of the network"),
    ("fit(learning_rate=0.1)", "fit has no argument 'learning_rate'; it belongs to the optimizer: fn.optim.Adam(1e-3)"),
    ("fit(alpha=0.1)", "fit has no argument 'alpha'; decay of weights is a field of AdamW, weight_decay"),
    ("fit(sample_weight=np.ones(12))", "fit has no argument 'sample_weight'; it is part of the data: (x, y, weight)"),
    ("fit(shuffle=True)", "fit has no argument 'shuffle'; it is not needed: rows are shuffled in every epoch"),
    ("fit(device='cuda')", "fit has no argument 'device'; funcnet computes in NumPy, on the CPU"),
    (
        "fn.fit(NET, X, Y, loss=SOFTMAX, optimizer=ADAM, steps=1)",
        "fit(net, data, loss=…, optimizer=…, key=…, …): it lacks k",
    ),
    ("fn.fit()", "fit(net, data, loss=…, optimizer=…, key=…, …): it lacks net, data, loss, optimizer, key"),
    ("fit(loss='mse')", "loss: unknown loss 'mse', did you mean 'mean_squared_error'?"),
    ("fit(loss='sparse_categorical_crossentropy')", "loss: unknown loss 'sparse_categorical_crossentropy', did you me"),
    ("fit(loss=lambda p, t: 0.0)", "expected a loss, such as fn.losses.MeanSquaredError(), got <function"),
    ("fit(optimizer='sgd')", "optimizer.learning_rate: missing; 'sgd' needs"),
    ("fit(optimizer='Adam')", "optimizer: unknown optimizer 'Adam', did you mean 'adam'?"),
    ("fit(optimizer=optim.Adam)", "expected an optimizer, such as fn.optim.Adam(), got the class Adam"),
    ("fit(metrics=['acc'])", "metric: unknown metric 'acc', did you mean 'accuracy'?"),
    ("fit(metrics=['AUC'])", "metric: unknown metric 'AUC', did you mean 'roc_auc'?"),
    ("fit(metrics=['mean_squared_error'])", "metric: unknown metric 'mean_squared_error', did you mean 'rmse'?"),
    ("fit(metrics=[metrics.Accuracy])", "expected a metric, such as fn.metrics.Accuracy(), got the class Accuracy"),
    ("fit(metrics=['mae'])", "MAE: expected a target of the prediction's shape (12, 3), got (12,)"),
    ("fit(callbacks='x')", "expected callbacks with init() and update(state, event), got 'x'"),
    ("fit(callbacks=fn.EarlyStopping)", "expected callbacks with init() and update(state, event), got <class"),
    ("fit(callbacks=[fn.EarlyStopping('val_loss')], validation=0.5)", "EarlyStopping: there is no 'val_loss' to monit"),
    ("fit(early_stopping='x')", "expected early_stopping as True, a patience, or fn.EarlyStopping("),
    ("fit(early_stopping=True)", "EarlyStopping: monitors 'validation/loss', but there is no validation part"),
    ("fit(validation=0.001)", "a validation part of 0.001 of 12 rows has 0; give more rows, or another share"),
    ("fit(validation=1.5)", "expected a validation part between 0 and 1, or the data of one, got 1.5"),
    ("fit(validation=5)", "expected validation as data (x, y), or a share of the rows such as 0.2, got 5"),
    (
        "fit(validation=[X, Y])",
        "expected data as a tuple (x, y) or (x, y, weight), got a list; write (x, y) in place of",
    ),
    ("fit(batch_size=None)", "expected a batch size of 1 or more, or 'full', got None"),
    ("fit(key=np.random.default_rng(0))", "expected a key, such as fn.Key(0), got Generator("),
    ("fit(steps=None, epochs='3')", "expected epochs or steps of 0 or more, got '3'"),
    ("fit(steps=None)", "expected either epochs or steps, got epochs=None and steps=None"),
    ("fit(class_weight=[1, 2, 3])", "expected class_weight as {label: weight} or 'balanced', got [1, 2, 3]"),
    ("fit(class_weight={0: 1.0})", "expected a class_weight for every label, got none for [1, 2]"),
    ("fit(augment=lambda x: x)", "expected a list of augmentations, such as [fn.data.Flip()]"),
    ("fit(augment=[lambda x: x])", "expected augmentations (batch, key) -> batch, such as [fn.data.Flip()]"),
    ("fit(start={'a': np.ones(2)})", "the starting values do not fit the network for inputs of shape (3,):"),
    ("fit(start='run')", "expected start as a Fit, a Run, a TrainState, (params, state), or the params of"),
    # ----- data
    (
        "fit(y=ONE_HOT.astype(int))",
        "SoftmaxCrossEntropy: expected target probabilities as floats, got int64; give one l",
    ),
    (
        "fit(y=Y[:, None])",
        "SoftmaxCrossEntropy: expected labels of shape (12,) or probabilities of shape (12, 3), got (12, 1",
    ),
    (
        "fit(y=Y.astype(float))",
        "SoftmaxCrossEntropy: expected integer labels, got float32; give whole numbers of an int",
    ),
    ("fit(y=list('abc' * 4))", "y: expected an array of real numbers, got <U1; number the texts, from 0 up"),
    ("fit(y=Y + 1)", "SoftmaxCrossEntropy: expected labels from 0 to 2, got 3 at row 2; renumber the labels, or"),
    ("fit(y=None)", "y: expected an array of real numbers, got None; give an array, or a list of numbers"),
    ("fit(y=np.where(Y > 1, np.nan, Y))", "expected finite targets, got nan in row 2; remove or fill it"),
    ("fit(x=np.where(X > 1, np.nan, X))", "expected finite inputs, got nan in row 1, column 1; remove or fill it"),
    ("fn.fit(NET, X, loss=SOFTMAX, optimizer=ADAM, key=0, steps=1)", "expected data as a tuple (x, y) or (x, y, weigh"),
    (
        "fn.fit(NET, [X, Y], loss=SOFTMAX, optimizer=ADAM, key=0, steps=1)",
        "expected data as a tuple (x, y) or (x, y, w",
    ),
    (
        "fn.fit(NET, iter([]), loss=SOFTMAX, optimizer=ADAM, key=0, steps=1)",
        "expected batches (x, y) or (x, y, weight) from the list_iterator, got none",
    ),
    (
        "fn.fit(NET, 'a.csv', loss=SOFTMAX, optimizer=ADAM, key=0, steps=1)",
        "expected data as a tuple (x, y) or (x, y, ",
    ),
    (
        "fit(x=Sparse())",
        "x: expected an array of real numbers, got a sparse Sparse; make it dense, with its method toarray",
    ),
    ("fit(x=Tensor())", "x: expected an array, got a Tensor that cannot be read as one: Can't call numpy()"),
    ("fit(x=X.astype(complex))", "x: expected an array of real numbers, got complex128; encode or convert it first"),
    (
        "fit(x=X.astype('U9'))",
        "x: expected an array of real numbers, got <U9; number the texts, from 0 up, or convert them",
    ),
    ("fit(x=np.ones((12, 3), int))", "dense_0 (Dense): expected floating-point input, got int64; give floats, and"),
    (
        "fit(x=X[:, 0])",
        "dense_0 (Dense): expected an input with at least 1 axis after the batch axis, got shape (); give e",
    ),
    (
        "fit(x=X.T)",
        "expected x, y (and weight) with the same number of rows, at least 1, got [3, 12]; samples are rows,",
    ),
    ("fit(x=X[:0], y=Y[:0])", "expected x, y (and weight) with the same number of rows, at least 1, got [0, 0]"),
    (
        "fit(x={'a': X})",
        "dense_0 (Dense): expected one array, got the shapes {'a': (3,)}; combine them with Concat or Sum",
    ),
    (
        "fit(x=IMAGES[..., 0], net=CONV)",
        "conv_2d_0 (Conv2D): expected inputs of shape (height, width, channels), got (8",
    ),
    (
        "fit(x=IMAGES.reshape(12, -1), net=CONV)",
        "conv_2d_0 (Conv2D): expected inputs of shape (height, width, channels",
    ),
    (
        "fit(x=IMAGES)",
        "SoftmaxCrossEntropy: expected labels of shape (12, 8, 8) or probabilities of shape (12, 8, 8, 3)",
    ),
    ("fit(net=fn.serial(fn.LSTM(3), fn.Dense(3)))", "lstm_0 (LSTM): expected sequences of shape (time, features)"),
    (
        "fit(net=fn.serial(fn.Embedding(5, 3), fn.Flatten()))",
        "embedding_0 (Embedding): expected integer input, got float32; give wh",
    ),
    (
        "fit(net=fn.Dense(1))",
        "SoftmaxCrossEntropy: expected a unit for each class, at least two, got predictions of shape",
    ),
    (
        "fit(loss=MSE)",
        "MeanSquaredError: expected a target of the prediction's shape (12, 3), got (12,); give the last lay",
    ),
    ("fit(net=fn.Dense(3), loss='sigmoid_cross_entropy')", "SigmoidCrossEntropy: expected a target of the predictio"),
    ("MSE.apply(SQUARE, SQUARE[0])", "MeanSquaredError: expected a target of the prediction's shape (5, 5), got (5,)"),
    ("metrics.RMSE()(SQUARE, SQUARE[0])", "RMSE: expected a target of the"),
    ("MSE.apply([['a']], [[1.0]])", "expected an array of real numbers, got <U1"),
    ("MSE.apply([[1.0], [1.0, 2.0]], SQUARE)", "expected rows of one length, got"),
    ("MSE.apply(np.ma.masked_greater(SQUARE, 1), SQUARE)", "expected an array without masked entries, got"),
    ("metrics.Accuracy()(np.eye(3), np.ma.masked_greater(np.arange(3), 1))", "expected an array without masked entrie"),
    # ----- networks, keys and shapes
    ("NET.init(0, (3,))", "expected a key, such as fn.Key(0), got 0"),
    (
        "NET.init((3,))",
        "Combinator.init(key, in_shape, …): it lacks in_shape; in_shape: the shape of one sample without",
    ),
    ("NET.init(fn.Key(0), 3)", "dense_0 (Dense): expected a shape as a tuple, such as (784,), got 3"),
    ("NET.init(fn.Key(0), [3])", "dense_0 (Dense): expected a shape as a tuple, such as (784,), got [3]"),
    ("NET.init(fn.Key(0), (None, 3))", "dense_0 (Dense): expected a shape of whole numbers without the batch axis"),
    ("NET.init(fn.Key(0), (-1, 3))", "dense_0 (Dense): expected axes of length 1 or more, got shape (-1, 3)"),
    (
        "NET.init(fn.Key(0), X)",
        "dense_0 (Dense): expected a shape of whole numbers without the batch axis, such as (784,",
    ),
    ("NET.init(fn.Key(0), (3,), 'x')", "expected a float dtype, such as np.float32, got"),
    ("NET.init(fn.Key(0), (3,), int)", "expected a float dtype, such as np.float32, got"),
    (
        "NET.apply(P, S, X)",
        "Serial.apply(params, state, x, ctx): it lacks ctx; ctx: fn.EVAL, or fn.Context(train=True, key=",
    ),
    ("NET.apply(P, X)", "Serial.apply(params, state, x, ctx): it lacks x, ctx; ctx: fn.EVAL, or"),
    ("NET.apply(P, S, X, None)", "expected a context, fn.EVAL or fn.Context(train=True, key=fn.Key(0)), got None"),
    ("NET.apply(P, S, X, True)", "expected a context, fn.EVAL or fn.Context(train=True, key=fn.Key(0)), got True"),
    ("NET.apply(P, S, X, train=True)", "Serial.apply has no argument 'train'; how a pass runs is the context"),
    ("NET.apply(P, S, X, fn.Context(True))", "dropout_0 (Dropout): draws random numbers in training and the context"),
    (
        "NET.apply(S, P, X, fn.EVAL)",
        "dense_0 (Dense): params and state do not fit inputs of shape (3,): weight: expected",
    ),
    ("NET.apply(P, S, X[:, :2], fn.EVAL)", "dense_0 (Dense): params and state do not fit inputs of shape (2,): weight"),
    ("NET.apply(P, S, X.tolist(), fn.EVAL)", "dense_0 (Dense): expected an array of inputs, got a list; fn.predict"),
    ("NET.apply(P, S, None, fn.EVAL)", "dense_0 (Dense): expected an array of inputs, got None"),
    ("NET.apply(DONE, S, X, fn.EVAL)", "expected params and state as dicts by name, as init gives them, got a Fit and"),
    ("NET.vjp(P, NET.apply(P, S, X, fn.EVAL), X)", "dense_1 (Dense): the residuals and the cotangent do not fit this"),
    ("NET.vjp(P, X)", "Serial.vjp(params, residuals, dy): it lacks dy"),
    ("fn.predict(NET, P, X)", "predict(net, params, state, x, …): it lacks x"),
    (
        "fn.predict(NET, P, X, S)",
        "expected the state, a dict, after the params, got an array of shape (12, 3)",
    ),
    ("fn.predict(P, S, NET, X)", "expected a network, such as fn.serial(fn.Dense(10)), got {'dense_0'"),
    ("fn.predict(NET, P, S, X[0])", "expected a batch of samples, got one sample of shape (3,); give it a batch axis"),
    ("fn.predict(NET, P, S, X[:, :2])", "expected inputs of shape (3,), which the params were made for, got (2,)"),
    (
        "fn.predict(NET, P, S, Tensor())",
        "expected an array, got a Tensor that cannot be read as one: Can't call numpy(",
    ),
    ("fn.predict_proba(NET, MSE, P, S, X)", "MeanSquaredError gives no probabilities; train with SoftmaxCrossEntropy"),
    ("fn.evaluate(NET, 'mse', P, S, (X, Y))", "loss: unknown loss 'mse', did you mean 'mean_squared_error'?"),
    (
        "fn.evaluate(NET, SOFTMAX, P, S, X, Y)",
        "expected a list of metrics, such as [fn.metrics.Accuracy()], got array(",
    ),
    ("fn.train_step(NET, ADAM, SOFTMAX)", "expected a loss, such as fn.losses.MeanSquaredError(), got Adam("),
    ("fn.train_step(None, SOFTMAX, ADAM)", "expected a network, such as"),
    ("fn.train_step(NET, None, ADAM)", "expected a loss, such as"),
    ("fn.value_and_grad(NET)", "value_and_grad(net, loss): it lacks loss; loss: such as"),
    ("fn.value_and_grad(NET, losses.MeanSquaredError)", "expected a loss, such as"),
    ("fn.value_and_grad(NET, SOFTMAX)(P, S, X, Y)", "f(params, state, x, y, ctx, …): it lacks ctx"),
    (
        "STEP(TS, X, Y)",
        "expected data as a tuple (x, y) or (x, y, weight), got a ndarray; write (x, y), the inputs and",
    ),
    ("STEP(P, (X, Y))", "expected a train state, such as fn.train_state(net, opt, key, in_shape), got {'dense_0'"),
    ("STEP((X, Y), TS)", "expected a train state, such as fn.train_state(net, opt, key, in_shape), got ("),
    ("fn.train_state(NET, fn.Key(0), ADAM, (3,))", "expected an optimizer, such as fn.optim.Adam(), got Key("),
    ("fn.save('net.npz', DONE)", "save(path, net, params, state): it lacks params, state"),
    ("fn.load(None)", "expected a path, such as 'net.npz', got None"),
    ("fn.load_run(None)", "expected the folder of a run, such as"),
    ("fn.load_run('runs/none')", "runs/none: there is no such run folder"),
    ("fn.run('spec.json')", "expected an experiment, such as fn.load_spec('specs/digits_mlp.json'), got 'spec.json'"),
    (
        "fn.from_json('spec.json')",
        "$: not JSON: Expecting value at line 1, column 1; to read a file use load_spec(path)",
    ),
    (
        "fn.Experiment(model=NET, loss='mse', optimizer='adam', data='iris', training=3)",
        "Experiment.data: expected a da",
    ),
    ("fn.to_json(3)", "to_json: expected a spec, such as fn.Dense(3), got 3"),
    ("fn.spec_hash('x')", "to_json: expected a spec, such as fn.Dense(3), got"),
    ("fn.summary(3, (2,))", "expected a network, such as fn.serial("),
    ("fn.summary(NET)", "summary(net, in_shape, …): it lacks in_shape; in_shape: the shape of one sample without the"),
    ("fn.diagram('x', (2,))", "expected a network, such as fn.serial("),
    ("fn.check_layer(fn.Dense(3))", "check_layer(layer, in_shape, …): it lacks in_shape"),
    ("fn.tree.at(P, 3)", "expected a path or pattern, such as '*/bias', got 3"),
    ("fn.tree.select(P, None)", "expected a path or pattern, such as '*/bias'"),
    ("fn.tree.at(P, 'dense_0/weigth')", "'dense_0/weigth' matches none of: dense_0/weight, dense_0/bias"),
    (
        "fn.Key(0).uniform(3, 4)",
        "expected a dtype, such as np.float32, got 4; several lengths are a tuple: shape=(3, 4)",
    ),
    ("fn.load_spec(None)", "load_spec: expected a path, such as 'net.json', got null"),
    ("fn.save_spec('net.json')", "save_spec(path, spec): it lacks spec"),
    ("fn.apply_updates(P)", "apply_updates(params, updates): it lacks updates"),
    ("fn.check_gradient(abs, P)", "check_gradient(f, params, grads): it lacks grads"),
    ("optim.chain([ADAM, ADAM])", "Chain.steps[0]: expected an optimizer, got [Adam(learning_rate=0.001, b1=0.9, b2="),
    (
        "fn.branch([fn.Relu()])",
        "Branch.layers[0]: expected a layer, got [Relu()]; give them one by one, without the list",
    ),
    (
        "fn.EarlyStopping(5)",
        "EarlyStopping.monitor: expected a string, got 5; the order is EarlyStopping(monitor, pati",
    ),
    (
        "metrics.Accuracy().update(X, Y)",
        "'Accuracy' object has no attribute 'update'; write score = metric(prediction,",
    ),
    (
        "fn.minimize(NET, MSE, (X, Y), max_iter=9, key=0)",
        "minimize has no argument 'max_iter'; it is epochs or steps; of",
    ),
    ("fn.count_params(NET)", "module 'funcnet' has no attribute 'count_params'; fn.summary(net, in_shape) counts them"),
    ("fn.Key(0).bits(-1)", "expected a shape of lengths of 0 or more, got (-1,)"),
    ("fn.Key(0).normal('x')", "expected a shape, such as (3, 2), or a number of draws"),
]
"""What is written, and how the message begins"""


@pytest.mark.parametrize(("written", "said"), PYTHON, ids=[row[0] for row in PYTHON])
def test_a_mistake_in_python_is_said(written, said):
    with pytest.raises((fn.FuncnetError, AttributeError)) as caught:
        eval(written)
    assert str(caught.value).removeprefix("the network (Serial): ").startswith(said)
    if isinstance(caught.value, AttributeError):
        assert "did you mean" in str(caught.value) or ";" in str(caught.value)


WORKS = [
    ("MSE.apply(SQUARE.tolist(), SQUARE.T.tolist())[0]", "np.mean((SQUARE - SQUARE.T) ** 2)"),
    ("MSE.apply(SQUARE.view(np.matrix), SQUARE.T.view(np.matrix))[0]", "np.mean((SQUARE - SQUARE.T) ** 2)"),
    ("metrics.RMSE()(SQUARE.tolist(), SQUARE.T.tolist()) ** 2", "np.mean((SQUARE - SQUARE.T) ** 2)"),
    ("metrics.RMSE()(SQUARE.view(np.matrix), SQUARE.T) ** 2", "np.mean((SQUARE - SQUARE.T) ** 2)"),
    ("MSE.apply(np.ma.masked_array(SQUARE), SQUARE.T)[0]", "np.mean((SQUARE - SQUARE.T) ** 2)"),
    ("fn.predict(NET, P, S, X.tolist())", "fn.predict(NET, P, S, X)"),
    ("fn.predict(NET, P, S, Frame())", "fn.predict(NET, P, S, X)"),
    ("fn.predict(NET, P, S, X.astype(float))", "fn.predict(NET, P, S, X)"),
    ("fit(x=X.tolist()).history[-1]['loss']", "DONE.history[-1]['loss']"),
    ("fit(x=Frame(), y=Y.tolist()).history[-1]['loss']", "DONE.history[-1]['loss']"),
    ("fit(y=ONE_HOT).history[-1]['loss']", "DONE.history[-1]['loss']"),
    ("fit(loss='softmax_cross_entropy', optimizer='adam').history[-1]['loss']", "DONE.history[-1]['loss']"),
    ("fit(metrics='accuracy').history[-1]['accuracy']", "fit(metrics=[metrics.Accuracy()]).history[-1]['accuracy']"),
    ("fn.train_step(NET, 'softmax_cross_entropy', 'adam')(TS, (X, Y))[1]['loss']", "STEP(TS, (X, Y))[1]['loss']"),
    ("fn.evaluate(NET, 'softmax_cross_entropy', P, S, (X, Y))['loss']",
     "fn.evaluate(NET, SOFTMAX, P, S, (X, Y))['loss']"),
    ("fn.predict(NET, *NET.init(fn.Key(0), (12, 3)), X)", "fn.predict(NET, P, S, X)"),
]  # fmt: skip
"""What is written, and what it equals"""


@pytest.mark.parametrize(("written", "right"), WORKS, ids=[row[0] for row in WORKS])
def test_what_one_means_is_done(written, right):
    np.testing.assert_allclose(eval(written), eval(right), rtol=1e-6)


def test_the_gradient_of_a_matrix_is_that_of_its_array():
    plain = MSE.vjp(MSE.apply(SQUARE, SQUARE.T)[1])
    matrix = MSE.vjp(MSE.apply(SQUARE.view(np.matrix), SQUARE.T)[1])
    assert type(matrix) is np.ndarray
    np.testing.assert_array_equal(matrix, plain)


WARNED = [
    (
        "fit(x=IMAGES.transpose(0, 3, 1, 2), net=CONV)",
        "inputs of shape (3, 8, 8) look like images with their channels f",
    ),
    (
        "fit(net=NET >> fn.Softmax())",
        "the last layer, Softmax, gives numbers from 0 to 1, and SoftmaxCrossEntropy takes",
    ),
    ("fit(batch_size=100)", "batch_size 100 is more than the 12 rows to train on; every batch has all rows"),
]
"""What is written, and how the warning begins: it may be meant"""


@pytest.mark.parametrize(("written", "said"), WARNED, ids=[row[0] for row in WARNED])
def test_what_is_likely_a_mistake_is_warned_of(written, said, caplog):
    with caplog.at_level(logging.WARNING, "funcnet"):
        eval(written)
    assert [record.getMessage()[: len(said)] for record in caplog.records] == [said]


def test_every_hint_is_for_what_is_not_there():
    import inspect

    assert not ARGUMENTS.keys() & inspect.signature(fn.fit).parameters.keys()
    for value, kind in ((NET, "layer"), (SOFTMAX, "loss"), (ADAM, "optimizer"), (DONE, "Fit"), (fn.Key(0), "Key")):
        names = [name for name in ATTRIBUTES[kind] if name != "__call__"]
        assert [name for name in names if hasattr(value, name)] == []
    assert [name for name in ELSEWHERE if hasattr(fn, name)] == []


# ----- JSON --------------------------------------------------------------------------------------------------------


def model(node):
    """The document of a model."""
    return json.dumps({"version": 1, "model": node})


def spec(**changes):
    """The document of a small experiment with some parts changed."""
    return json.dumps({**json.loads(SMALL), **changes})


IN_JSON = [
    # ----- the text
    ("", "$: not JSON: Expecting value at line 1, column 1; it is empty"),
    ("model: dense", "$: not JSON: Expecting value at line 1, column 1; a spec begins with {, such as"),
    ('{"seed": 1,}', "; leave out the comma before the closing bracket"),
    ('{"model": ["relu",]}', "; leave out the comma before the closing bracket"),
    ('// a note\n{"seed": 1}', "$: not JSON: Expecting value at line 1, column 1; JSON has no comments, leave them ou"),
    ('{"seed": 1, # a note\n "dtype": 2}', "; JSON has no comments, leave them out"),
    ("{'seed': 1}", '; texts stand in double quotes: "relu"'),
    ("{\"dtype\": 'float64'}", '; texts stand in double quotes: "relu"'),
    ("{seed: 1}", "; names stand in double quotes"),
    ('{"model": {"type": "dense", "units": 3, "use_bias": True}}', "; write true"),
    ('{"seed": None}', "; write null"),
    ('{"model": "relu"}{"model": "relu"}', "; a file holds one spec"),
    ('{"seed": NaN}', "$: NaN is not JSON; every number must be finite"),
    ('{"seed": 1, "seed": 2}', "$: the key 'seed' appears twice in one object"),
    ("[1]", "$: expected an object with the fields of a spec, got [1]"),
    ('{"version": 9, "model": "relu"}', "$.version: expected up to 1, which this funcnet reads, got 9; upgrade funcne"),
    ('{"version": "1", "model": "relu"}', '$.version: expected an integer from 1, got "1"'),
    # ----- tags and fields
    (model("linear"), "$.model: unknown layer 'linear', did you mean 'dense'?"),
    (model("ReLU"), "$.model: unknown layer 'ReLU', did you mean 'relu'?"),
    (model("Conv2D"), "$.model: unknown layer 'Conv2D', did you mean 'conv_2d'?"),
    (model("lstm_layer"), "$.model: unknown layer 'lstm_layer', did you mean 'lstm'?"),
    (model("dens"), "$.model: unknown layer 'dens', did you mean 'dense'?"),
    (model("acme.unheard"), "$.model: unknown layer 'acme.unheard'; import the module"),
    (model("dense"), "$.model.units: missing; 'dense' needs"),
    (model({"units": 3}), "$.model.type: missing; expected the tag of this layer, one of"),
    (model({"type": "dense", "unit": 3}), "$.model.unit: unknown field of 'dense', did you mean 'units'?"),
    (model({"type": "dense", "units": "3"}), '$.model.units: expected an integer, got "3"'),
    (model({"type": "dense", "units": 3.0}), "$.model.units: expected an integer, got 3.0"),
    (model({"type": "dense", "units": True}), "$.model.units: expected an integer, got true"),
    (model({"type": "dense", "units": None}), "$.model.units: expected an integer, got null"),
    (model({"type": "dense", "units": [3]}), "$.model.units: expected an integer, got [3]"),
    (model({"type": "dense", "units": 3, "use_bias": "yes"}), '$.model.use_bias: expected true or false, got "yes"'),
    (
        model({"type": "dense", "units": 3, "activation": "relu"}),
        "$.model.activation: unknown field of 'dense'; it is a separate layer after this one; it has units",
    ),
    (
        model({"type": "dense", "units": 3, "input_shape": [4]}),
        "$.model.input_shape: unknown field of 'dense'; the shape of the input is that of the data; it has units",
    ),
    (model({"type": "dropout", "rate": 1.5}), "$.model.rate: must be at least 0 and below 1, got 1.5"),
    (model({"type": "dropout", "p": 0.5}), "$.model.p: unknown field of 'dropout', did you mean 'rate'?"),
    (model("mean_squared_error"), "$.model: unknown layer 'mean_squared_error'"),
    (model(["relu", "tanh"]), "$.model: expected a layer, got"),
    (model(None), "$.model: expected a layer, got null"),
    (model({"type": "serial", "layers": "relu"}), '$.model.layers: expected a list of layers, got "relu"'),
    (model({"type": "serial", "layers": [["relu"]]}), "$.model.layers[0]: expected a layer, got"),
    (
        model({"type": "serial", "layers": [{"type": "relu", "name": "a"}, {"type": "tanh", "name": "a"}]}),
        "$.model.layers[1].name: 'a' is the name of item 0 too; names must differ",
    ),
    (
        model({"type": "serial", "layers": [{"type": "relu", "name": "my relu"}]}),
        '$.model.layers[0].name: expected a name of letters, digits and _, got "my relu"',
    ),
    ('{"type": "dense", "units": 3}', "$.type: expected 'experiment' or nothing, got \"dense\"; put a single spec und"),
    ('{"model": "relu", "loss": "mean_squared_error"}', "$.data: missing; 'experiment' needs a data source"),
    # ----- experiments
    (spec(loss="mse"), "$.loss: unknown loss 'mse', did you mean 'mean_squared_error'?"),
    (spec(loss="relu"), "$.loss: unknown loss 'relu'"),
    (spec(loss=["mean_squared_error"]), "$.loss: expected a loss, got"),
    (spec(optimizer="Adam"), "$.optimizer: unknown optimizer 'Adam', did you mean 'adam'?"),
    (spec(optimizer={"type": "sgd", "lr": 0.1}), "$.optimizer.lr: unknown field of 'sgd', did you mean 'learning_rate"),
    (spec(optimizer={"type": "sgd", "learning_rate": "0.1"}), "$.optimizer.learning_rate: unknown schedule '0.1'"),
    (spec(metrics="accuracy"), '$.metrics: expected a list, each item a metric, got "accuracy"'),
    (spec(metrics=["acc"]), "$.metrics[0]: unknown metric 'acc', did you mean 'accuracy'?"),
    (spec(epochs=3), "$.epochs: unknown field of 'experiment'; 'epochs' is a field of 'training'; it has seed, dtype"),
    (spec(batch_size=3), "$.batch_size: unknown field of 'experiment'; 'batch_size' is a field of 'training'"),
    (spec(learning_rate=0.1), "$.learning_rate: unknown field of 'experiment'; it is optimizer.learning_rate"),
    (spec(random_state=3), "$.random_state: unknown field of 'experiment'; it is seed"),
    (spec(training={"epochs": 3, "validation_split": 0.1}), "$.training.validation_split: unknown field of 'training'"),
    (spec(training={"epochs": 3, "patience": 3}), "$.training.patience: unknown field of 'training'; 'patience' is a"),
    (spec(training={"epochs": "3"}), '$.training.epochs: expected an integer or null, got "3"'),
    (spec(training={"epochs": 3, "steps": 3}), "$.training: expected either epochs or steps, got both"),
    (spec(training={"batch_size": 3}), "$.training: expected either epochs or steps, got none"),
    (spec(training=3), "$.training: expected a training, got 3"),
    (spec(data="irises"), "$.data: unknown data 'irises', did you mean 'iris'?"),
    (spec(data={"type": "csv", "file": "a.csv"}), "$.data.file: unknown field of 'csv'"),
    (spec(dtype="float16"), '$.dtype: expected "float32" or "float64", got "float16"'),
]  # fmt: skip
"""A document, and how one line of the message begins, or ends"""


@pytest.mark.parametrize(("document", "said"), IN_JSON, ids=[row[0][:100] for row in IN_JSON])
def test_a_mistake_in_json_is_said(document, said):
    with pytest.raises(fn.SpecError) as caught:
        fn.from_json(document)
    lines = str(caught.value).splitlines()
    assert any(line.endswith(said) if said.startswith(";") else line.startswith(said) for line in lines), lines
    assert not any(python in str(caught.value) for python in ("fn.", "np.", "()"))


# ----- the command line --------------------------------------------------------------------------------------------

DENSE_2 = {"type": "dense", "units": 2}
ROWS = "\n".join(f"{i % 7},{i * 3 % 5},{'yes' if i % 2 else 'no'},{i % 7 + 0.5}" for i in range(60))


def table(model=DENSE_2, **changes):
    """The document of an experiment on ``t.csv``; ``data`` is changed field by field."""
    data = {"type": "csv", "path": "t.csv", "target": "label", "inputs": ["age", "size"], **changes.pop("data", {})}
    parts = {"loss": "softmax_cross_entropy", "optimizer": "adam", "training": {"epochs": 1}, **changes}
    return json.dumps({"version": 1, "data": data, "model": model, **parts})


def arrays(name, loss="softmax_cross_entropy", units=2, first=()):
    """The document of an experiment on the arrays of ``name.npz``."""
    model = {"type": "serial", "layers": [*first, "flatten", {"type": "dense", "units": units}]}
    data = {"type": "npz", "path": f"{name}.npz"}
    parts = {"loss": loss, "optimizer": "adam", "training": {"epochs": 1}}
    return json.dumps({"version": 1, "data": data, "model": model, **parts})


EMBEDDING = {"type": "embedding", "size": 9, "features": 2}
CONV_2D = {"type": "conv_2d", "filters": 2, "kernel_size": 3}
ARRAYS = {
    "floats": (X, Y % 2 + 0.0),
    "one_hot": (X, np.eye(2, dtype=int)[Y % 2]),
    "column": (X, Y[:, None] % 2),
    "from_1": (X, Y % 2 + 1),
    "minus": (X, 2 * (Y % 2) - 1),
    "vector": (X[:, 0], Y % 2),
    "shorter": (X[:5], Y % 2),
    "gaps": (np.where(X > 1, np.nan, X), Y % 2),
    "plain": (X, Y % 2),
    "square": (IMAGES[..., 0], Y % 2),
    "first": (IMAGES.transpose(0, 3, 1, 2), Y % 2),
}
FILES = {
    "t.csv": f"age,size,label,price\n{ROWS}\n",
    "bad.csv": f"age,size,label,price\n{ROWS.replace('3,4,', '3,x4,', 1)}\n",
    "t.json": table(),
    "empty.json": "",
    "comma.json": table().replace("}}", "},}", 1),
    "model.json": model({"type": "dense", "units": 3}),
    "loss.json": '{"version": 1, "loss": "mean_squared_error"}',
    "nowhere.json": table(data={"path": "nope.csv"}),
    "target.json": table(data={"target": "lable"}),
    "inputs.json": table(data={"inputs": ["age", "sise"]}),
    "absolute.json": table(data={"path": "/etc/passwd"}),
    "values.json": table(data={"target": "price"}),
    "squared.json": table(loss="mean_squared_error"),
    "units.json": table({"type": "dense", "units": 3}),
    "bad.json": table(data={"path": "bad.csv"}),
    "images.json": table({"type": "serial", "layers": [CONV_2D, {"type": "dense", "units": 2}]}),
    "indices.json": table({"type": "serial", "layers": [EMBEDDING, "flatten", {"type": "dense", "units": 2}]}),
    "twice.json": table({"type": "serial", "layers": [{"type": "dense", "units": 2}, "softmax"]}),
    **{f"{name}.json": arrays(name) for name in ARRAYS},
    "minus.json": arrays("minus", "sigmoid_cross_entropy", 1),
    "plain.json": arrays("plain", "binary_cross_entropy", 1),
    "square.json": arrays("square", first=[CONV_2D]),
    "first.json": arrays("first", first=[CONV_2D]),
    "one.csv": "age\n1\n",
    "new.csv": "size,age,more\n1,2,3\n",
    "target.csv": "age,size,label\n1,2,yes\n",
    "text.csv": "age,size\n1,2\nold,3\n",
    "gap.csv": "age,size\n1,\n",
    "capitals.csv": "Age,Size\n1,2\n",
    "semicolon.csv": "age;size\n1;2\n",
    "ragged.csv": "age,size\n1\n",
    "empty.csv": "",
    "head.csv": "age,size\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the files, a run of ``t.json``, and a folder that is none."""
    folder = tmp_path_factory.mktemp("misuse")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, (x, y) in ARRAYS.items():
        np.savez(folder / f"{name}.npz", x=x, y=y)
    np.save(folder / "new.npy", X[:, :2])
    (folder / "none").mkdir()
    assert funcnet(folder, "train", "t.json", "--out", "run", "--progress", "none").status == 0
    return folder


NO_FILE = "there is no such file"
COMMANDS = [
    # ----- words
    ("trian t.json", 2, "invalid choice: 'trian' (choose from"),
    ("trian t.json", 2, ", did you mean 'train'?"),
    ("fit t.json", 2, ", did you mean 'train'?"),
    ("test run", 2, ", did you mean 'evaluate'?"),
    ("train t.json --prgress none", 2, "unrecognized arguments: --prgress none, did you mean 'progress'?"),
    ("train t.json --epochs 3", 2, "unrecognized arguments: --epochs 3; fields of the spec are set by --set training."),
    ("train t.json --lr 0.1", 2, "fields of the spec are set by --set optimizer.learning_rate=VALUE"),
    ("train t.json --batch-size 8", 2, "fields of the spec are set by --set training.batch_size=VALUE"),
    ("train t.json --set", 2, "argument --set: expected one argument"),
    ("evaluate run --part val", 2, ", did you mean 'validation'?"),
    ("init t.csv --task regression", 2, ", did you mean 'values'?"),
    ("predict run", 2, "the following arguments are required: FILE"),
    ("list layers", 1, "list: unknown kind 'layers', did you mean 'layer'?"),
    ("guide trainig", 1, "guide: unknown page 'trainig', did you mean 'training'?"),
    ("show model.json", 1, "a model alone does not say what its input is; give the shape, such as --input 28,28,1"),
    ("show model.json --input a", 1, "--input: expected a shape such as 28,28,1, got 'a'"),
    ("train t.json --import nope_mod", 1, "--import nope_mod: no module 'nope_mod' in"),
    ("train t.json --import a/b.py", 1, "--import a/b.py: expected the name of a module, such as a.b"),
    # ----- specs
    ("train tt.json", 1, f"tt.json: {NO_FILE}"),
    ("train irs", 1, f"irs: {NO_FILE}, and no experiment of that name comes with funcnet"),
    ("train digits_mpl", 1, ", did you mean 'digits_mlp'?"),
    ("train none", 1, "none: is a folder; expected a spec, a file of JSON, or the folder of a run"),
    ("train t.csv", 1, "t.csv: is a table, not a spec; funcnet init t.csv writes a spec for it"),
    ("train empty.json", 1, "empty.json: not JSON: Expecting value at line 1, column 1; it is empty"),
    ("train comma.json", 1, "; leave out the comma before the closing bracket"),
    ("train model.json", 1, "model.json: $: expected an experiment (data, model, loss, optimizer, training), got a la"),
    ("check loss.json", 1, "loss.json: $: expected an experiment (data, model, loss, optimizer, training), got a loss"),
    ("check run/weights.npz", 1, "run/weights.npz: the file is not UTF-8 text"),
    ("show loss.json", 1, "loss.json: expected an experiment or a model, got a loss"),
    ("diff t.json nope", 1, f"nope: {NO_FILE}"),
    # ----- settings
    ("train t.json --set optimzer.learning_rate=1", 1, "the spec has no field 'optimzer', did you mean 'optimizer'?"),
    ("train t.json --set optimizer.learning_rat=1", 1, "$.optimizer.learning_rat: unknown field of 'adam', did you me"),
    ("train t.json --set optimizer.learning_rate=abc", 1, "$.optimizer.learning_rate: unknown schedule 'abc'"),
    ("train t.json --set optimizer=adm", 1, "$.optimizer: unknown optimizer 'adm', did you mean 'adam'?"),
    ("train t.json --set training.epochs", 1, "expected PATH=VALUE, such as optimizer.learning_rate=0.01 or model.l"),
    ("train t.json --set training.epochs=3.5", 1, "$.training.epochs: expected an integer or null, got 3.5"),
    ("train t.json --set training.epochs=True", 1, '$.training.epochs: expected an integer or null, got "True"'),
    ("train t.json --set training.epochs=0", 1, "$.training.epochs: must be positive, got 0"),
    ("train t.json --set epochs=3", 1, "$.epochs: unknown field of 'experiment'; 'epochs' is a field of 'training'"),
    ("train t.json --set lr=3", 1, "$.lr: unknown field of 'experiment'; it is optimizer.learning_rate"),
    ("train t.json --set model.layers.0.units=3", 1, "expected PATH=VALUE, such as optimizer.learning_rate=0.01"),
    ("train t.json --set model.layers[0].units=3", 1, ".model has no field 'layers'; it has type, units"),
    ("train t.json --set data.split.test=0.2", 1, "a new field is given whole: 'data.split={…}'"),
    # ----- data
    ("check nowhere.json", 1, f"nope.csv: {NO_FILE}"),
    ("check target.json", 1, "t.csv: has no column 'lable' (target), did you mean 'label'?; it has age, size, label,"),
    ("check inputs.json", 1, "t.csv: has no column 'sise' (inputs), did you mean 'size'?"),
    ("check absolute.json", 1, "/etc/passwd: lies outside the spec's folder"),
    ("check bad.json", 1, "bad.csv: line 5, column 'size': expected a number, got 'x4'; list 'size' in categorical if"),
    ("check values.json", 1, "expected integer labels, got float32; give whole numbers of an integer type, or for val"),
    ("check squared.json", 1, "2 classes, 'no', 'yes'; for labels of classes use SoftmaxCrossEntropy and 2 units"),
    ("check units.json", 1, "expected 2 units, one for each class, got 3; the data has 2 classes, 'no', 'yes': change"),
    ("check images.json", 1, "conv_2d_0 (Conv2D): expected inputs of shape (height, width, channels), got (2,)"),
    ("check indices.json", 1, "embedding_0 (Embedding): expected integer input, got float32; give whole numbers"),
    ("check floats.json", 1, "expected integer labels, got float32; give whole numbers of an integer type"),
    ("check one_hot.json", 1, "expected target probabilities as floats, got int64; give one label for each row"),
    ("check column.json", 1, "got (12, 1); leave out the last axis of the labels"),
    ("check from_1.json", 1, "expected labels from 0 to 1, got 2 at row 1; renumber the labels, or give the last laye"),
    ("check minus.json", 1, "expected targets between 0 and 1, got -1.0; give 0 and 1, or probabilities"),
    ("check shorter.json", 1, "Npz: expected as many targets as inputs, at least one, got (5, 3) and (12,)"),
    ("check gaps.json", 1, "Npz: expected finite inputs, got nan in row 1, column 1; remove or fill it"),
    ("check plain.json", 1, "for logits use SigmoidCrossEntropy"),
    ("check square.json", 1, "got (8, 8); for one channel put a Reshape to (8, 8, 1) before it"),
    ("check first.json", 0, "inputs of shape (3, 8, 8) look like images with their channels first"),
    ("check twice.json", 0, "the last layer, Softmax, gives numbers from 0 to 1, and SoftmaxCrossEntropy takes logits"),
    ("train t.json --set training.early_stopping.patience=2", 1, "a new field is given whole"),
    ('train t.json --set training.early_stopping={"patience":2}', 1, "monitors 'validation/loss', but there is no val"),
    ("init nope.csv", 1, f"nope.csv: {NO_FILE}"),
    ("init empty.csv", 1, "empty.csv: is empty"),
    ("init head.csv", 1, "head.csv: has no rows below its header"),
    ("init t.csv --out x.json --target lable", 1, "did you mean 'label'?"),
    ("init t.csv", 1, "t.json: already exists; --force overwrites it, --out writes elsewhere"),
    # ----- runs
    ("train t.json --out run", 1, "run: holds a finished run already; choose another --out, or delete it first"),
    ("train t.json --out t.csv", 1, "t.csv: expected a folder, got a file; choose another --out"),
    ("train t.json --start nope", 1, "start: nope is not there; give the folder of a finished run, or a file of fn.sa"),
    ("predict t.json new.csv", 1, "t.json: is not a run folder but a spec; funcnet train t.json makes a run of it"),
    ("predict nope new.csv", 1, "nope: there is no such run folder"),
    ("predict none new.csv", 1, "none: is not a run folder; expected the file metrics.json"),
    ("predict new.csv run", 1, "new.csv: is not a run folder; expected the file metrics.json"),
    ("evaluate t.json", 1, "t.json: is not a run folder but a spec; funcnet train t.json makes a run of it"),
    ("evaluate run --part test", 1, "run: the run has no test part; it has train"),
    ("evaluate run --data text.csv", 1, "has no column 'label' (target); it has age, size"),
    ("verify nope", 1, "nope: there is no such run folder"),
    ("source t.json --inference", 1, "t.json: is not a run folder but a spec; funcnet train t.json makes a run of it"),
    ("source run --inference --out x.txt", 1, "--out: expected a file that ends in .py, got x.txt"),
    ("generate run", 1, "run: expected a run trained on text, got one on Csv"),
    ("predict run nope.csv", 1, f"nope.csv: {NO_FILE}"),
    ("predict run one.csv", 1, "one.csv: has no column 'size'; it has age"),
    ("predict run text.csv", 1, "text.csv: line 3, column 'age': expected a number, got 'old'; the training data had"),
    ("predict run gap.csv", 1, "gap.csv: line 2, column 'size': the value is missing; the training data had none miss"),
    ("predict run capitals.csv", 1, "capitals.csv: has no column 'age', 'size', did you mean 'Age'?; it has Age, Size"),
    ("predict run semicolon.csv", 1, "semicolon.csv: has no column 'age', 'size'; it has age;size; is the delimiter r"),
    ("predict run ragged.csv", 1, "ragged.csv: line 2: expected 2 values, got 1; is the delimiter right?"),
    ("predict run empty.csv", 1, "empty.csv: is empty"),
    ("predict run head.csv", 1, "head.csv: has no rows below its header"),
    ("predict run new.npy", 1, "new.npy: the run was trained on a CSV file, whose columns are matched by name; give a"),
    ("predict run new.csv -o none", 1, "none: is a folder; expected the name of a file to write"),
    ("predict run new.csv -o nowhere/x.csv", 1, "cannot be written (No such file or directory); choose a writable fol"),
    # ----- what simply works
    ("predict run new.csv", 0, "label,no,yes\n"),
    ("predict run target.csv", 0, "label,no,yes\n"),
    ("train t --out by_name --progress none", 0, "run     by_name"),
]  # fmt: skip
"""What is written, the exit status, and a part of what is said"""

PYTHONIC = ("astype", "np.", "x[", "y[", "()", "None]", "lambda")


@pytest.mark.parametrize(("written", "status", "said"), COMMANDS, ids=[f"{row[0]}: {row[2][:20]}" for row in COMMANDS])
def test_a_mistake_on_the_command_line_is_said(place, written, status, said, caplog):
    done = funcnet(place, *written.split())
    found = done.err + done.out + caplog.text
    assert (done.status, said in found) == (status, True), found
    assert "Traceback" not in done.err
    assert not any(python in done.err for python in PYTHONIC), done.err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser reads every file")
def test_a_file_that_may_not_be_read(place):
    (place / "secret.json").write_text(table(), encoding="utf-8")
    (place / "secret.json").chmod(0)
    done = funcnet(place, "check", "secret.json")
    assert (done.status, "secret.json: the file cannot be read: Permission denied" in done.err) == (1, True)
