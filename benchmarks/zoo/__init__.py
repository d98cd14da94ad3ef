"""Architectures built from their configuration with random weights, and what the exporter makes of them.

A factory opens from the folder above: `cd benchmarks; isthmus cuts zoo.architectures:resnet50`.
"""
