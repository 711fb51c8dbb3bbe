"""Datasets: folders of image files, paired or not, and a drawn set that needs no files.

A set of files is opened in a straight line (`image_files.ImageFiles.open`): `listing` finds the files, `decoding`
decodes each once into a `store` and takes their fingerprint, `splits` draws from the store. `transforms` holds what
happens to an image. Downloads are in the package `fetching`.
"""
