"""A real corpus gathered from what is installed here, with planted cases whose truth is known."""

from pipeline.sample.documents import PlantedCase
from pipeline.sample.gather import SETTINGS, SampleSummary, gather
from pipeline.sample.sources import Roots

__all__ = ["SETTINGS", "PlantedCase", "Roots", "SampleSummary", "gather"]
