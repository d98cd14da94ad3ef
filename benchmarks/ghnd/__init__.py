"""A detector split without labels: average precision against bytes, beside pictures and the detector on the device."""
