"""The Open Inference Protocol: bundles as models for clients that know nothing of Isthmus."""
