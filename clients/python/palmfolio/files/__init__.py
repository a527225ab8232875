"""Readers of people's files: prompts and samples, in the formats in which they are kept.

    import palmfolio
    from palmfolio.files import read_prompts

    prompts = read_prompts("questions.csv.gz", fields={"prompt": "question"})

docs/files.md describes formats, columns and conversations. The command line reads its files with
the same functions.
"""

from palmfolio.files.prompts import read_prompts
from palmfolio.files.samples import SampleFile, SampleRow, read_samples

__all__ = ["SampleFile", "SampleRow", "read_prompts", "read_samples"]
