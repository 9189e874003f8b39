"""`drvs bench local`: our calls beside their peers and beside what the hardware allows, in one run.

    table       file           question
    roundtrip   roundtrip.py   how long does 64 bytes there and back take, by every mechanism and placement?
    copy        copying.py     how fast do blocks move, against raw process_vm_readv?
    scale       scale.py       does a call cost more among 30,000 endpoints?
    fanin       fanin.py       do sixteen callers of one server get as much done as one?
    memory      footprint.py   what do noded, a binding, an import and a waiting process cost?

A mechanism (mechanisms/) is a way to call; a pair (pair.py) is two processes that use it, pinned where the placement
says. Figures of different runs do not compare (the host moves the cores about), so `targets.py` judges ratios of one
run only.
"""
