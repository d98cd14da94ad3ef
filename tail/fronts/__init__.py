"""Several processes on one port, where one event loop is not enough; and the one that watches over them."""
