"""What `drvs doctor` looks at: each check is a function that yields findings.

finding.py  what a check says: ok, warn or fail, and what to do
host.py     Linux, Python, kernel features, memory copies, limits
node.py     the runtime directory, noded, its VMs' locks and invariants
"""
