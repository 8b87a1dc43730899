"""The steps of a pipeline: one file each, named by its verb, its configuration model beside it."""
