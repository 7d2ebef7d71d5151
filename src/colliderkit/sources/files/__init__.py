"""Read and write event files: ROOT, HDF5, Parquet, and the layouts that the field publishes."""
