"""Back-test the forecast: compare it with what a larger model, trained here, memorizes.

Part of the run's own text is scanned together with planted canaries. Proxies and a larger target
are trained on the same sample, and the forecast, made from the proxies alone, is compared with what
the target memorized. Import the modules of this package inside functions: they import Torch.
"""
