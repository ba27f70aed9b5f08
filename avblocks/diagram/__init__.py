"""Architecture diagrams, drawn from the modules of a model."""

from avblocks.diagram.architecture import architecture as architecture
