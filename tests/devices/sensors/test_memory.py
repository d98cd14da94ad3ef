from isthmus.devices.sensors.memory import Memory, look


def test_kibibytes_become_bytes_and_swap_is_what_is_not_free(tree):
    text = "MemTotal: 1000 kB\nMemAvailable:  400 kB\nSwapTotal: 100 kB\nSwapFree: 75 kB\nHugePages_Total: 3\nMemFree: many kB"
    assert look(tree({"proc/meminfo": text})) == Memory(total_bytes=1024000, available_bytes=409600, swap_used_bytes=25600)


def test_what_is_not_told_is_unknown(tmp_path):
    assert look(tmp_path) == Memory(total_bytes=None, available_bytes=None, swap_used_bytes=None)
