"""The door over HTTP: AWS JSON 1.0, to which any SDK and the AWS CLI talk.

- `protocol`: from a target and a body to an operation, and from an answer or a refusal to a reply.
- `replies`: a reply as bytes, spoilt where a fault wants it.
- `connection`: one client connection: requests in order, answers in the same order, everything bounded.
- `sigv4`: signatures, verified where that is asked for.
- `admin`: the private addresses: counters, events, state, faults.
- `server`: all of it on one loop, on loopback unless told otherwise.
"""
