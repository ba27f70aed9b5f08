"""Parts of `benchmark`: cases, what a case runs, the plain formula, measuring, tables, scaling."""
