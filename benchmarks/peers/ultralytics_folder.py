"""Ultralytics predict on a folder, in its own environment. Prints images a second.

    PEERS_PYTHON benchmarks/peers/ultralytics_folder.py FOLDER

YOLO26n-seg from its description, with random weights, at 640 px, on the CPU with two threads: what it finds is nothing
worth having, how long it takes is the same.
"""

import sys
import time

import torch
from ultralytics import YOLO

torch.set_num_threads(2)
model = YOLO("yolo26n-seg.yaml")
found = model.predict(sys.argv[1], stream=True, imgsz=640, device="cpu", verbose=False, save=False)
for _ in range(32):
    next(found)
began = time.monotonic()
rest = sum(1 for _ in found)
print(rest / (time.monotonic() - began))
