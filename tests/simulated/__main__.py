"""`python tests/simulated`: the tests on the simulated device, in a process that knows it from its start.

Arguments are pytest's; `-m simulated` takes the slow ones, too.
"""

import sys

import pytest
from simulated_device import register

register()
sys.exit(pytest.main(["-m", "simulated and not slow", *sys.argv[1:]]))
