"""The names of resources, such as `policies/5f3a9c`: a collection and an id."""


def resource_id(name: str) -> str:
    """The id in a resource's name; an id stays as it is."""
    return name.rpartition("/")[2]
