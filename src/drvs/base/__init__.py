"""What every layer needs: codes, errors, ids, flags, limits, paths, features, clock.

Nothing here imports another part of drvs, or anything outside the standard library's cheap corner (`import drvs`
costs at most 20 ms).
"""
