"""`drvs bench executor`: drvs.Executor beside the process pools that Python programs use.

    table     file         question
    start     start.py     how long from the constructor to the first answer of the 64th worker, numpy imported?
    calls     calling.py   how long do a trivial call, one of many in `map`, and one with a 16 MiB array take?
    memory    memory.py    how much memory does a worker have for itself?

`pools.py` has the pools, each behind the same three methods, and `calls.py` what workers are asked to do. Start and
memory are measured by fresh interpreters (`alone.py`), since some pools keep a server of theirs for the next one.
"""
