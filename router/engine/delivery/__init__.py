"""The delivery stage: in order within a lane, in parallel across lanes, with retries and one circuit a sink."""
