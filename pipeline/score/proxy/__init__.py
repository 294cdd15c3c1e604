"""Small causal language models that stand in for the one a user is going to train.

Needs only torch, transformers, numpy and numba. Import the modules of this package inside
functions: nothing but scoring pays for Torch.
"""
