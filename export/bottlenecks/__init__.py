"""What stands around the codes: encoder, decoder, quantiser, and how they are put into the halves."""
