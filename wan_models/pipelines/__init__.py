"""The pipelines themselves: the only place in the project that imports torch."""

import logging

# Where torchvision is not installed, transformers says so to whoever imports diffusers' pipelines, and takes
# another image processor, which does as well.
logging.getLogger("transformers.utils.import_utils").setLevel(logging.ERROR)
