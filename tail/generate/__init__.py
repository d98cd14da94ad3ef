"""Language models: conversations whose first layers run on the device and whose last ones run here."""
