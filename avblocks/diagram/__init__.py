"""Diagrams of models, drawn from their modules."""

from avblocks.diagram.architecture import architecture as architecture
