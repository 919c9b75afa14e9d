"""
13. Ten thousand images on two machines
=======================================

One image takes milliseconds, ten thousand take a while: the program will be interrupted, an image will be damaged,
and a second machine stands idle. Here with thirty-six images and one machine; the call is the same.
"""

# %%
# A run is a folder
# -----------------
# ``explain_many`` explains each item by itself and puts results into a folder as they come. An item is a path, or an
# array as here. One of ours is damaged.

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import xaicore as xc
from xaicore.data import digits_images, digits_model

graph = digits_model()
images, labels = digits_images()
items = [one[None].astype(float) for one in np.tile(images, (3, 1, 1, 1))]
items[20] = np.full((1, 1, 8, 8), np.nan)
methods = ["lrp.epsilon", ("smoothgrad", {"samples": 4})]  # smoothgrad draws noise
place = tempfile.TemporaryDirectory()  # yours would be a folder that stays
folder = Path(place.name)

run = xc.explain_many(graph, items, methods, out=folder / "all", seed=0, shard_size=8)
print(run.done, "done,", run.failed, "failed")
print(*sorted(p.name for p in run.folder.iterdir()), sep="\n")
assert (run.items, run.done, run.failed) == (36, 35, 1)
assert run[7]["lrp.epsilon"].shape == (1, 1, 8, 8)

# %%
# The damaged image did not end the run. It is a line of the index, like the others:

rows = list(run.rows())
for k in (19, 20):
    print(k, rows[k]["status"], rows[k].get("message", "")[:60])
assert rows[20]["status"] == "error"
assert [r["item"] for r in rows if r["status"] != "done"] == [20]

# %%
# Interrupt it
# ------------
# Ctrl-C after the second of five shards. What is finished is on the disk; the same call goes on from there.


def run_into(name, shard_size=8, **more):
    where = folder / name
    return xc.explain_many(
        graph, items, methods, out=where, seed=0, shard_size=shard_size, **more)


def impatient(status):
    print(status)
    if status.done >= 16:
        raise KeyboardInterrupt


try:
    run_into("interrupted", progress=impatient)
except KeyboardInterrupt:
    print("interrupted")
again = run_into("interrupted")
assert again.skipped == 16  # two shards of eight were not computed again
assert (again.done, again.failed) == (35, 1)

# %%
# The same bytes, whoever computes
# --------------------------------
# Noise is the trap of parallel runs: whoever draws first gets other numbers. Here an item's noise comes from ``seed``
# and its place in the list, so that neither the order nor the number of workers matters. Any ``concurrent.futures``
# executor will do. Two threads, another shard size:

with ThreadPoolExecutor(2) as two:
    other = run_into("threads", shard_size=5, executor=two)
for k in range(36):
    for m in ("lrp.epsilon", "smoothgrad") if k != 20 else ():
        assert (run[k][m] == again[k][m]).all()
        assert (run[k][m] == other[k][m]).all()

# And each is what ``explain`` says about that image alone.
alone = xc.explain(graph, items[7], "lrp.epsilon")
assert (np.asarray(alone) == run[7]["lrp.epsilon"]).all()

# %%
# Two machines
# ------------
# With ``pip install "xaicore[cluster]"`` on both, a scheduler on the first and workers on each::
#
#     dask scheduler --port 8786                                   # machine 1
#     export OPENBLAS_NUM_THREADS=1                                # machines 1 and 2
#     dask worker tcp://machine1:8786 --nworkers 2 --nthreads 1
#
#     from dask.distributed import Client
#
#     with Client("tcp://machine1:8786") as client:
#         executor = client.get_executor(retries=2)
#         xc.explain_many("/shared/model.onnx", paths, methods, out="results", executor=executor)
#
# The model and the images lie under one path on both machines. Results travel back to the caller, who writes them. An
# open scheduler runs whatever it is sent: only within a private network, else with TLS, which docs/many_machines.md
# shows. From the shell: ``xaicore explain model.onnx 'images/*.png' -m lrp.epsilon -o results --jobs 2``.
#
# How long will it take?
# ----------------------
# Items are independent, so time is items times seconds, divided by workers. From this run:

each = run.seconds / run.items
print(f"{1000 * each:.1f} ms for an image here, with both methods")
print(f"{10000 * each / 60:.1f} minutes for ten thousand with one worker, half with two")
place.cleanup()

# %%
# What you know now
# -----------------
# * A run is a folder: resumable, one line for each item, failures included.
# * Seeds belong to items, not to workers. Then results do not depend on the machine park.
# * Set the BLAS threads to 1 where there are as many workers as cores.
#
# **Do not conclude** that equal seeds give equal bytes on unequal machines: another BLAS adds in another order. Same
# versions, same bytes.
#
# **Next:** lesson 14, a rule of your own, ``14_write_a_rule.py``.
