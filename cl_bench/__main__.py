"""`python -m cl_bench` is `cl-bench`."""

import sys

from cl_bench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
