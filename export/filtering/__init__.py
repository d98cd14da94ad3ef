"""The neural filter: film and labels, events, parts, training, threshold, figures, and the bundle that has it all."""
