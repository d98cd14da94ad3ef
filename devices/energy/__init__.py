"""Energy: measured with source, scope, rate and doubt, or modelled and labelled so, or not measured. Never a bare number."""
