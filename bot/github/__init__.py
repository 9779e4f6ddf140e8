"""GitHub's REST API behind small frozen values: the only room that imports gidgethub."""
