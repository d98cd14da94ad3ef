"""`isthmus demo --llm`: a language model from its weights to answers over links, on a model that comes with the package."""
