"""Inputs that are made, not given: what a neuron, a channel, a class or a direction responds to most."""
