"""The Helm chart's values: one declaration, from which values.yaml, values.schema.json and the README's table are made."""
