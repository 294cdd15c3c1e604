"""What `rote backtest` does: hold the forecast against a larger model trained here.

Part of the run's own text and planted canaries are scanned, proxies and a larger target are trained
on the same sample, and the forecast, made from the proxies alone, is held against what the target
memorized. Import the modules of this package inside functions: they import Torch.
"""
