"""Files and data sets from the network: resumable transfer, verification, unpacking, one process at a time.

Used by data sets (`download.Download` is their option `download`) and by losses with pretrained weights. Reading images
is in `datasets`.
"""
