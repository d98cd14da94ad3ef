"""Answer what a source shows through a server, and print one line a frame.

python examples/answer_pictures.py BUNDLE SOURCE HOST:PORT
"""

import logging
import sys

import structlog

from isthmus.head.answers import Answers

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
bundle, source, tail = sys.argv[1:4]
with Answers(bundle, source=source, tails=[tail], gate=False) as answers:
    for record in answers:
        print(record.name or record.sequence, record.words)
