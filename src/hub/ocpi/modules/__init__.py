"""The modules of OCPI, one file each: what is served, once for all versions."""
