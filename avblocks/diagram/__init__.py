"""Models as pictures, drawn from their modules."""

from avblocks.diagram.architecture import architecture as architecture
