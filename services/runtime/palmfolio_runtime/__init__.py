"""What every palmfolio service shares.

- `serving`: the server, authorisation, metrics, reflection and health.
- `clients`: the scorer and the trainer, as other services call them.
- `database`, `leases`, `operations`: transactions, ownership of work, long-running operations.
- `config`, `limits`, `logs`: what an operator sets and reads.
- `settings`: ranges and defaults that the selector and the trainer share.
- `errors`, `names`, `pages`, `timestamps`, `weights`: the conventions of the protocol.
- `digest`, `identity`, `volumes`: content addresses, and files that are whole or absent.

Imports nothing of a service, and no torch.
"""
