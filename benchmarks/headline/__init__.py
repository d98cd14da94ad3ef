"""The headline: accuracy against bytes and against device time, beside every rival, by cross-validation."""
