"""What all requests of the control protocol have; each kind is in `protocol` or `node_requests`."""

import msgspec


class Request(msgspec.Struct, kw_only=True, tag_field="op", forbid_unknown_fields=True):
    """What all requests have."""

    v: int
