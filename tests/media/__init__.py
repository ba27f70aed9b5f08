"""Files of all kinds, read by all readers: the matrix of containers, codecs and faults."""
