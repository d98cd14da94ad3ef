"""Language models of families that no builder knows: slices of transformers' own module, traced."""
