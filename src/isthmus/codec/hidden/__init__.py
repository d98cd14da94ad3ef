"""Hidden states of a language model to bytes and back: rows of float32 go out as fp16, int8 or int4, each row by itself."""
