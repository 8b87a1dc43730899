"""The operators' files: the site (`router.yaml`), the pipelines, their expressions, and what is generated from them."""
