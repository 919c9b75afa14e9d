"""
2. LRP in four steps
====================

Layer-wise relevance propagation is lesson 1 for a whole layer, from the last layer to the first. In NumPy it is four
lines. We work them out on a network of two inputs and three hidden neurons, which stays with us for the rest of the
course.
"""

# %%
# The network, forward
# --------------------
# ``h = relu(W x)``, ``f = v · h``. At x = (3, 1)::
#
#     W = 1  -1        W x = 3 - 1 =  2       h = 2       f = 3*2 - 1*5 + 2*0 = 1
#         1   2              3 + 2 =  5           5
#        -1   1             -3 + 1 = -2           0       v = 3, -1, 2
#
# The third neuron is off, the second is on and argues against. So every rule that treats signs or silent units in its
# own way will give another answer here.

import numpy as np

W = np.array([[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]])
v = np.array([[3.0, -1.0, 2.0]])
x = np.array([3.0, 1.0])
h = np.maximum(W @ x, 0)
f = v @ h
assert h.tolist() == [2, 5, 0]
assert f.tolist() == [1]

# %%
# The four steps
# --------------
# Given the inputs of a layer, its weights, and the relevance R of its outputs:


def lrp(inputs, weights, R):
    z = weights @ inputs               # 1. forward: what each neuron summed up
    s = np.zeros_like(z)               # 2. divide: relevance per unit of sum,
    s[z != 0] = R[z != 0] / z[z != 0]  #    0 where the sum is 0
    c = weights.T @ s                  # 3. backward: the sums' way, reversed
    return inputs * c                  # 4. multiply: x times what came back


# %%
# Relevance starts as the number to be explained, f = 1. The last layer shares it among the hidden neurons::
#
#     z = 1     s = 1/1 = 1     c = v = (3, -1, 2)     R_h = h * c = (6, -5, 0)
#
# and the first layer shares that among the inputs. The ReLU hands its relevance on as it is::
#
#     z = (2, 5, -2)     s = (6/2, -5/5, 0/-2) = (3, -1, 0)
#     c = W^T s = (1*3 + 1*-1,  -1*3 + 2*-1) = (2, -5)
#     R_x = x * c = (3*2, 1*-5) = (6, -5)

R_h = lrp(h, v, f)
R_x = lrp(x, W, R_h)
assert R_h.tolist() == [6, -5, 0]
assert R_x.tolist() == [6, -5]
assert R_h.sum() == R_x.sum() == f     # 1 at every layer

# %%
# The engine
# ----------
# The same network as a graph. The attribution keeps what came to each layer.

import xaicore as xc
from xaicore.ops import Dense, ReLU

b = xc.Builder("small")
hidden = b.add(Dense(), b.input("x", (None, 2)), b.param("W", W), name="hidden")
relu = b.add(ReLU(), hidden, name="relu")
graph = b.build(b.add(Dense(), relu, b.param("v", v), name="f"))

a = xc.explain(graph, x[None], "lrp.zero")
assert np.asarray(a)[0].tolist() == R_x.tolist()
assert a.layers["relu"][0].tolist() == R_h.tolist()
print(a.ledger)  # what arrived, what was passed on, node by node

# %%
from xaicore.show.neurons import neurons

neurons(a)

# %%
# Follow one number. The second input got -5: its products with the first two neurons' weights are -1 and 2, the neurons
# had 6 and -5 to share on sums of 2 and 5, so -1/2 of 6 is -3, and 2/5 of -5 is -2. Both are in the picture.

assert -1 / 2 * 6 + 2 / 5 * -5 == -5

# %%
# On a real network
# -----------------
# The last two layers of a network that reads digits, with the same four lines. Its layers have biases: the sums are
# ``W x + b`` then, and the bias keeps its part (lesson 5). So step 1 takes the sums that the layer really had.

from xaicore.data import digits_images, digits_model

digits = digits_model()
images, labels = digits_images()
three = images[labels == 3][:1].astype(float)
found = xc.explain(digits, three, "lrp.zero", target=3)

arrived = found.layers["logits"][0]  # f at class 3, 0 at the others
weights, bias = digits.params["logits.weight"], digits.params["logits.bias"]
head = xc.Graph(digits.inputs, digits.params, digits.nodes, ("relu5",))
before = head(three)[0]
z = weights @ before + bias
by_hand = before * (weights.T @ (arrived / z))
assert np.allclose(by_hand, found.layers["relu5"][0], rtol=1e-12, atol=0)
found

# %%
# Above are the image, the map at the input, and under "layer by layer" every layer's relevance as a picture.
#
# What you know now
# -----------------
# * LRP-0 is: sums forward, relevance divided by sums, backward through the same weights, times the inputs.
# * Without biases the sum is the same at every layer.
# * You can check any number of it with a pencil, also in a network of millions:
#   ``xaicore trace digits digit_3.png --unit "fc1[4]"`` prints one unit's arithmetic.
#
# **Do not conclude** that x1 = 3 "is worth 6" in the sense that f would fall by 6 without it. Without it, f is
# ``3*0 - 1*2 + 2*1 = 0``: it falls by 1, because another neuron wakes up. LRP says how this sum came about, at this x.

assert graph([[0.0, 1.0]]).tolist() == [[0]]

# %%
# **Next:** lesson 3 puts LRP beside seven other methods, ``03_eight_methods.py``.
