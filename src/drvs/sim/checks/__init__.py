"""Checkers: what the system promises, each promise judged on its own, from what processes did and got.

    delivery    a message is received once at most, by whom it was for, in the order of its source; an answer is the
    right one
    ends        a call ends for a reason: each code means what it says of the message, and has a cause
    notices     a notification arrives, and no other one does
    copies      a copy that went well has copied those bytes, and nothing is written where nobody waits
    rest        when nothing is under way any more, whoever waits has a reason, and the regions are sound

They know nothing of how the core or the sessions do it.
"""
