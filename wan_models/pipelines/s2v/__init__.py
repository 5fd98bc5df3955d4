"""Speech to video: Wan 2.2's S2V model and its pipeline, in the style of diffusers, which has neither.

Modules carry the names of the published checkpoint's tensors, so that its files load as they are.
"""
