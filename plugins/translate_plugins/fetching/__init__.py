"""Files and datasets from the network: resumable transfer, verification, unpacking, one process at a time.

Used by datasets (`download.Download` is their option `download`) and by losses with pretrained weights. Reading images
is in `datasets`.
"""
